"""What storescp tells commands and plugins: instances that are stored, studies that have ended."""
