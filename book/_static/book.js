// The theme's toggles in the contents have no name, which a screen reader could say.
for (const toggle of document.querySelectorAll("nav summary")) {
  toggle.setAttribute("aria-label", "Show or hide the pages of this part");
}
