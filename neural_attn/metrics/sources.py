"""Where metrics come from, as their pages cite it."""

VIG = "Vig and Belinkov 2019, arXiv:1906.04284"
CLARK = "Clark et al. 2019, arXiv:1906.04341"
OLSSON = "Olsson et al. 2022, arXiv:2209.11895"
GUIDE = "the attention visualization guide of this project"
