"""Running the experiment: what is made once and kept, on how many processes, and from where it goes on."""
