"""The lesson rope: turned positions, against ALiBi and sinusoids."""
