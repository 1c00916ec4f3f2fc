/** The texts of mails. Plain text, with the link on its own line, so that every mail program shows it right. */

export type Message = { to: string; subject: string; text: string }

/** `page`: a URL with `{token}`. Without one the mail holds the token alone. */
export const resetMessage = (to: string, page: string | undefined, token: string): Message => ({
  to,
  subject: "Reset your password",
  text: [
    "Somebody asked for a new password for your account. If it was you, set it " +
      (page === undefined ? "with this token:" : "here:"),
    "",
    page === undefined ? token : page.replaceAll("{token}", token),
    "",
    "It is good once, for an hour. If it was not you, ignore this mail:",
    "your password stays as it is.",
    "",
  ].join("\n"),
})

export const emailChangedMessage = (to: string, at: string): Message => ({
  to,
  subject: "The email of your account was changed",
  text: [
    `Since ${at} your account has another email than this one.`,
    "",
    "If it was not you who changed it, tell whoever runs the service:",
    "somebody knows your password.",
    "",
  ].join("\n"),
})
