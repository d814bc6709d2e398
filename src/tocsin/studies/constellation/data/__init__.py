"""Where frames come from, generated or recorded, and which of them a part or an epoch has."""
