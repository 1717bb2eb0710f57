"""Files of every format → chunks, as a stream; what cannot be read is told, and the rest goes on."""
