"""The page of a report: charts, tables and mistakes in one HTML file that needs no other."""
