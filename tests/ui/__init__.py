"""The dashboard in a real Chromium, on the installed package: what a person sees and does there."""
