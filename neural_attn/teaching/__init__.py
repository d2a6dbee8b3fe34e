"""Teaching pictures: masks, positions, schedule and loss, as a file declares them."""
