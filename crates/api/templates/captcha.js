
// The provider's script calls this once it is there.
window.hearthCaptcha = () => showCaptcha(document);

// Shows the captcha within `place`, if there is one and its provider's script is there.
function showCaptcha(place) {
    const box = place.querySelector("[data-sitekey]:empty");
    if (!box || !window.grecaptcha || !window.grecaptcha.render) {
        return;
    }
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    window.grecaptcha.render(box, {
        sitekey: box.dataset.sitekey,
        theme: dark ? "dark" : "light",
        size: innerWidth < 380 ? "compact" : "normal",
    });
}
