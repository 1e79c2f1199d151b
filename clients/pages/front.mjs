// The page at `/`.

import assert from "node:assert/strict";

export const open = {
    async "says what the server is and whom to ask"(person) {
        const response = await person.opens("/");
        assert.equal(response.status(), 200);
        for (const text of ["hearth.test", "https://matrix.hearth.test", "@alice:hearth.test", "Data protection"]) {
            await person.sees(text);
        }
        await person.looksAt("front");
    },

    async "leads to the page that makes an account"(person) {
        await person.opens("/");
        await person.presses('a[href$="/register/"]');
        await person.page.waitForURL("**/_matrix/static/client/register/");
        await person.sees("Make the account");
    },
};

export const closed = {
    async "says that registration is closed"(person) {
        await person.opens("/");
        await person.sees("Registration is closed");
        await person.looksAt("front-closed");
        await person.opens("/_matrix/static/client/register/");
        await person.sees("Nobody can make an account");
        await person.looksAt("register-closed");
    },
};
