"""What is made of the tables of keys when the package is built: schemas for editors, and pages of the manual."""
