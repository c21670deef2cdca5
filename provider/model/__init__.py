"""The vocabulary of every other package: records, reasons and errors."""
