"""The contract between policyd's processes: messages, services, errors."""
