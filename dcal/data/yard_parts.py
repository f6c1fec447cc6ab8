"""The parts that masks know, by number."""

MARK = (
    128  # added to a pixel's part where the twins differ: the part itself, or where the twin without it would have it
)

PARTS = (
    "background", "body", "bonnet", "roof", "front door", "rear door", "sliding door", "tailgate", "front bumper",
    "rear bumper", "windscreen", "side window", "rear window", "window frame", "headlamp", "tail lamp", "fog lamp",
    "grille", "intake", "badge", "plate", "mirror", "handle", "moulding", "cladding", "seam", "wiper", "exhaust",
    "tyre", "wheel", "wheel well", "underside", "interior", "bed", "load", "frame", "roof rack", "roof box", "aerial",
    "beacon", "spoiler", "bull bar", "lamp bar", "air unit", "decal", "dent", "scratch", "fuel flap",
)  # fmt: skip
