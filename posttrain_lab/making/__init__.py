"""The scripts that made the shipped files: images, networks, tables. Run by hand; nothing imports them."""
