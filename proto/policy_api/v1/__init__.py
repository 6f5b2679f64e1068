"""Version 1 of the contract; the modules beside this file are generated from the .proto files."""
