/** What the mails say. Plain text, with a link on a line of its own: so it survives every reader. */

export type Message = { to: string; subject: string; text: string }

export const resetMessage = (to: string, link: string): Message => ({
  to,
  subject: "Reset your password",
  text: [
    "Somebody asked for a new password for your account. If it was you, set it here:",
    "",
    link,
    "",
    "The link is good once, for an hour. If it was not you, ignore this mail:",
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
