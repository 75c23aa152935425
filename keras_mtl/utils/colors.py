"""The colours of all figures."""

# Okabe and Ito's, which colour-blind readers can tell apart, without the yellow
# that is too pale for lines and points.
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#7F7F7F",
)
