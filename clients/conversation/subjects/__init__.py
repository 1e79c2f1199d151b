"""What the conversations are about, a file for each subject: `play(stage)`."""
