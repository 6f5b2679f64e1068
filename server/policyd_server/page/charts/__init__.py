"""Pictures as SVG. Colours come from the style sheet by class; every text is escaped."""
