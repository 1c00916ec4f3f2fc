/** Made of the OpenAPI document by `bun run build:client`: not to be edited. */
export interface paths {
    "/api/v1/auth/register": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Register an account
         * @description The number of registrations from one address in an hour is limited. The operator may have restricted registration to invited users, or closed it.
         */
        post: operations["register"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auth/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log in
         * @description Opens a session. In 15 minutes these failed logins are allowed: 10 of an account from an address, 100 from an address (IPv6: 1,000 from a /48), and 100 of an account. After that the answer is 429, even with the right password. The limits of the address and of the account do not apply to addresses from which the account was logged in to during the last 30 days. An account may have 60 successful logins in 15 minutes.
         */
        post: operations["login"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auth/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Get new tokens for a refresh token
         * @description A refresh token can be used once. If the answer is lost, the same request may be repeated within 10 seconds: it gives the same new refresh token again, unless that has been used. Any other reuse of a token ends the whole session.
         */
        post: operations["refresh"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auth/password-reset": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Set a new password with a token
         * @description Without the old password. Ends all sessions and personal access tokens of the user, and forgets failed logins. A token can be used once, within an hour, and only until a newer one is made.
         */
        post: operations["resetPassword"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auth/password-reset/request": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Request a reset token by mail
         * @description The answer is the same whether somebody has the email or not. The number of requests for an email and from an address is limited. A service that sends no mails answers 404: there the operator makes the tokens.
         */
        post: operations["requestPasswordReset"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auth/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log out
         * @description Ends the session: its refresh token and its access tokens. If the token belongs to no session, because another system issued it, the token itself is refused until it expires.
         */
        post: operations["logout"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/todos": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the caller's todos
         * @description Without `limit`, all todos that match as one array, which is streamed: a bare array, so that clients can read it item by item. With `limit`, a page: follow the `Link` with `rel="next"` to the others. Todos that are created or deleted meanwhile neither repeat nor hide another. Send the ETag back as If-None-Match to learn at little cost whether any todo has changed. At most two searches, whole lists or pages of more than 100 todos of a user run at once; further ones wait up to 5 seconds.
         */
        get: operations["listTodos"];
        put?: never;
        /**
         * Create a todo
         * @description Send an Idempotency-Key to make retries safe: a request that is repeated with the same key never creates a second todo.
         */
        post: operations["createTodo"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/todos/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get a todo
         * @description A todo of another user is a 404, as if it did not exist.
         */
        get: operations["getTodo"];
        /**
         * Change a todo
         * @description Members that are left out stay as they are, unlike a replacement as in RFC 9110: a client that does not know a member yet must not erase it. `description: null` clears it. `id`, `created_at` and `updated_at` are accepted and ignored, so that a todo can be sent back as it came.
         */
        put: operations["putTodo"];
        post?: never;
        /**
         * Delete a todo
         * @description Moves it to the trash, from which it can be restored for 30 days, or as long as the operator has set. With If-Match, deletes only the version that the caller has seen.
         */
        delete: operations["deleteTodo"];
        options?: never;
        head?: never;
        /**
         * Change a todo by a merge patch
         * @description The same as PUT, and accepts `application/merge-patch+json` (RFC 7396), too.
         */
        patch: operations["patchTodo"];
        trace?: never;
    };
    "/api/v1/todos/changes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get changes
         * @description For clients that keep a replica. Without `since`: all todos, page by page. With `since`: each todo that was created, changed or deleted after it, once, in its latest form. While `has_more` is true, continue at once with `next` as `since`; then store `next` for the next time. Nothing is ever left out. Deletions are remembered for 90 days: after a 410, start again without `since`. With `Prefer: wait=30` a response without changes is delayed until there is one, for at most 30 seconds.
         */
        get: operations["getChanges"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/todos/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Stream changes
         * @description A stream of server-sent events: `event: state` with `data: {"state": "…"}` at once, and after each change. The state is the `next` that a complete fetch of changes ends with: a client that has it already need not fetch. A comment is sent every 15 seconds. The stream ends when its token expires or is revoked, and when the service stops; `retry` then says when to reconnect. Read it by `fetch`, because `EventSource` cannot send Authorization. At most 20 streams of a user.
         */
        get: operations["getEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/todos/batch": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Make many changes at once
         * @description Up to 100 operations in one transaction, in their order. Each does what its single request would do and has its own result: if one is refused, the others are done anyway. With `atomic`, one refusal undoes all: a 409 with the results, in which those that would have succeeded have 424. Creates and updates with a `key` can be retried safely. The body may have 1 MiB.
         */
        post: operations["runBatch"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/todos/deleted": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the trash
         * @description The deleted todos that can be restored, the latest deletion first: all or, with `limit`, a page of them, as in the list of todos.
         */
        get: operations["listDeletedTodos"];
        put?: never;
        post?: never;
        /**
         * Empty the trash
         * @description Deletes all todos in it for good.
         */
        delete: operations["forgetDeletedTodos"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/todos/deleted/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Delete a todo for good
         * @description Takes it out of the trash, so that it cannot be restored.
         */
        delete: operations["forgetDeletedTodo"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/todos/{id}/restore": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Restore a deleted todo
         * @description Brings it back with its id, its content and its `created_at`. A todo that is not deleted is returned as it is.
         */
        post: operations["restoreTodo"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get the caller's account
         * @description The user to whom the access token belongs.
         */
        get: operations["getMe"];
        put?: never;
        post?: never;
        /**
         * Delete the account
         * @description Deletes the user, their todos and their sessions for good. All their tokens are refused. The email can be registered again.
         */
        delete: operations["deleteMe"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Change the password
         * @description Ends all sessions of the user, including this one, and all tokens without a session. Answers with the tokens of a new session. A wrong current password counts as a failed login. Users of an outside issuer have no password.
         */
        put: operations["changePassword"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me/email": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Change the email
         * @description If the service sends mails, the old address gets one. A wrong password counts as a failed login. Users of an outside issuer have no password.
         */
        put: operations["changeEmail"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Export everything that is stored about the caller
         * @description One document, streamed: the account, its sessions and tokens (without anything that gives access), and all todos. Changes that are made meanwhile may be in it or not. If the connection ends early, the export has failed.
         */
        get: operations["exportMe"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the caller's sessions
         * @description The caller's sessions, the last used ones first, at most 1,000.
         */
        get: operations["listSessions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * End a session
         * @description Ends one of the caller's sessions: its refresh token and access tokens.
         */
        delete: operations["endSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the caller's personal access tokens
         * @description The tokens that have not expired, the oldest first.
         */
        get: operations["listPersonalTokens"];
        put?: never;
        /**
         * Create a personal access token
         * @description A bearer token for scripts. It works only for /todos, within its scopes, and is shown only in this answer. A user has at most 50.
         */
        post: operations["createPersonalToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/me/tokens/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Revoke a personal access token
         * @description This instance refuses the token at once, all others within 5 seconds.
         */
        delete: operations["deletePersonalToken"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Liveness
         * @description Succeeds while the process serves requests. Restart it if there is no response.
         */
        get: operations["getLiveness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Readiness
         * @description Succeeds when the database answers, can be written to, and has the schema that this version needs.
         */
        get: operations["getReadiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description One broken rule of a body or of a query */
        BrokenRule: {
            /**
             * @description Where in the body: RFC 6901
             * @example /title
             */
            pointer?: string;
            /** @description Or which parameter of the query */
            parameter?: string;
            /**
             * @description For people
             * @example must not be empty
             */
            message: string;
        };
        /**
         * @description A user's account
         * @example {
         *       "id": 4503599627370496,
         *       "email": "ada@example.org",
         *       "created_at": "2026-11-22T16:40:03.123Z"
         *     }
         */
        User: {
            /** Format: int64 */
            id: number;
            /** @description Null for users of an outside issuer */
            email: string | null;
            /** Format: date-time */
            created_at: string;
        };
        /** @description The email is already registered */
        EmailTakenProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "EMAIL_TAKEN";
            /** Format: date-time */
            timestamp: string;
        };
        /** @description Registration is closed, or the invite is not valid */
        RegistrationClosedProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "REGISTRATION_CLOSED";
            /** Format: date-time */
            timestamp: string;
        };
        /** @description Too many requests or attempts; retry after `Retry-After` seconds */
        TooManyRequestsProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "TOO_MANY_REQUESTS";
            /** Format: date-time */
            timestamp: string;
        };
        /** @description The body or the query is invalid; `errors` lists why */
        BadRequestProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "BAD_REQUEST";
            /** Format: date-time */
            timestamp: string;
            /** @description The broken rules, 20 at most */
            errors?: components["schemas"]["BrokenRule"][];
        };
        /** @description The database is unreachable, or the service is stopping */
        ServiceUnavailableProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "SERVICE_UNAVAILABLE";
            /** Format: date-time */
            timestamp: string;
        };
        /** @description The body is over 64 KiB, or over 1 MiB for a batch */
        PayloadTooLargeProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "PAYLOAD_TOO_LARGE";
            /** Format: date-time */
            timestamp: string;
        };
        /** @description The type, charset or encoding of the body is not supported */
        UnsupportedMediaTypeProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "UNSUPPORTED_MEDIA_TYPE";
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * @example {
         *       "email": "ada@example.org",
         *       "password": "correct horse battery staple"
         *     }
         */
        Registration: {
            /**
             * @description Trimmed, and compared ignoring case. Beyond ASCII only letters and digits, and only as mail programs would write them
             * @example ada@example.org
             */
            email: string;
            /** Format: password */
            password: string;
            /** @description A token from the operator, where registration is by invite. Can be used once. */
            invite?: string;
        };
        /**
         * @description The tokens of a session
         * @example {
         *       "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0NTAzNTk5NjI3MzcwNDk2IiwiaWF0IjoxNzk1MzY1NjAzLCJleHAiOjE3OTUzNjc0MDN9.NFiF-o732BA4ACjuc_P4VeVhNfKn_bcmO7W9pD1wSpY",
         *       "token_type": "bearer",
         *       "expires_in": 1800,
         *       "refresh_token": "5f03f1bd-5057-47e3-9f82-4f146f287d58.1.fQ2oLqPz0hJYh1o5Jr3pY6c3iXbV7mTnD8sKwEuA9gk"
         *     }
         */
        Tokens: {
            /** @description A JWT for the Authorization header */
            access_token: string;
            /** @enum {string} */
            token_type: "bearer";
            /** @description Seconds until the access token expires */
            expires_in: number;
            /** @description Opaque and single-use */
            refresh_token: string;
        };
        /** @description The email, the password or the token of a reset is wrong */
        InvalidCredentialsProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "INVALID_CREDENTIALS";
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * @example {
         *       "email": "ada@example.org",
         *       "password": "correct horse battery staple"
         *     }
         */
        Credentials: {
            email: string;
            /** Format: password */
            password: string;
        };
        /** @description The token is missing, invalid, expired or revoked */
        UnauthorizedProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "UNAUTHORIZED";
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * @example {
         *       "refresh_token": "5f03f1bd-5057-47e3-9f82-4f146f287d58.1.fQ2oLqPz0hJYh1o5Jr3pY6c3iXbV7mTnD8sKwEuA9gk"
         *     }
         */
        RefreshToken: {
            /** @description The refresh token of the last answer */
            refresh_token: string;
        };
        /**
         * @example {
         *       "token": "7HxgMLz_z4B0VW50ZcHlsnGeOBMTQRJbfwPPKPEC-FI",
         *       "new_password": "tractor beige lagoon fiddle"
         *     }
         */
        PasswordReset: {
            /** @description From the mail or from the operator. Can be used once, within an hour. */
            token: string;
            /** Format: password */
            new_password: string;
        };
        /** @description Nothing is at this path, or nothing that the caller owns */
        NotFoundProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "NOT_FOUND";
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * @example {
         *       "email": "ada@example.org"
         *     }
         */
        PasswordResetRequest: {
            /** @example ada@example.org */
            email: string;
        };
        /** @description A personal access token may not do this, or lacks the scope */
        InsufficientScopeProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "INSUFFICIENT_SCOPE";
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * @description The todo
         * @example {
         *       "id": 1,
         *       "title": "Buy milk",
         *       "description": null,
         *       "is_completed": false,
         *       "created_at": "2026-11-22T16:40:03.214Z",
         *       "updated_at": "2026-11-22T16:40:03.214Z"
         *     }
         */
        Todo: {
            /** Format: int64 */
            id: number;
            /**
             * @description Must not be blank
             * @example Buy milk
             */
            title: string;
            /** @example Two litres, and oats */
            description: string | null;
            /** @description Whether it is done */
            is_completed: boolean;
            /**
             * Format: date-time
             * @description When it was created
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it last changed
             */
            updated_at: string;
        };
        /** @description The Idempotency-Key was already used with another body */
        IdempotencyKeyReusedProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "IDEMPOTENCY_KEY_REUSED";
            /** Format: date-time */
            timestamp: string;
        };
        /** @description The user has as many todos as the service allows; or: A personal access token may not do this, or lacks the scope */
        QuotaExceededOrInsufficientScopeProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "QUOTA_EXCEEDED" | "INSUFFICIENT_SCOPE";
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * @example {
         *       "title": "Buy milk"
         *     }
         */
        NewTodo: {
            /**
             * @description Must not be blank
             * @example Buy milk
             */
            title: string;
            /** @example Two litres, and oats */
            description?: string | null;
            /** @description Whether it is done */
            is_completed?: boolean;
        };
        /** @description Todo not found or not owned by the caller */
        TodoNotFoundProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "TODO_NOT_FOUND";
            /** Format: date-time */
            timestamp: string;
        };
        /** @description The todo has another version than If-Match names; `ETag` has it */
        PreconditionFailedProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "PRECONDITION_FAILED";
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * @example {
         *       "is_completed": true
         *     }
         */
        TodoChanges: {
            /**
             * @description Must not be blank
             * @example Buy milk
             */
            title?: string;
            /** @example Two litres, and oats */
            description?: string | null;
            /** @description Whether it is done */
            is_completed?: boolean;
        };
        /** @description A todo that has changed */
        Change: {
            /** Format: int64 */
            id: number;
            /** @description Its entity tag */
            etag: string | null;
            /** @description The todo as it is now. Null if it was deleted */
            todo: components["schemas"]["Todo"] | null;
        };
        /** @description A page of changes */
        ChangesPage: {
            changes: components["schemas"]["Change"][];
            /** @description The `since` of the next request */
            next: string;
            /** @description Whether there are more changes to fetch at once */
            has_more: boolean;
        };
        /** @description Changes since then are not known any more; start without `since` */
        ChangesExpiredProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "CHANGES_EXPIRED";
            /** Format: date-time */
            timestamp: string;
        };
        /** @description The error that the single call would have had */
        OperationProblem: {
            type: string;
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /** @description What is wrong, for programs */
            error_code: string;
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * @description The result of an operation. With a 412, `todo` is the current one
         * @example {
         *       "status": 201,
         *       "etag": "\"1\"",
         *       "todo": {
         *         "id": 1,
         *         "title": "Buy milk",
         *         "description": null,
         *         "is_completed": false,
         *         "created_at": "2026-11-22T16:40:03.214Z",
         *         "updated_at": "2026-11-22T16:40:03.214Z"
         *       }
         *     }
         */
        BatchResult: {
            status: number;
            /** @description The entity tag of `todo` */
            etag?: string;
            todo?: components["schemas"]["Todo"];
            /** @description Whether an earlier operation with the same key was done instead */
            replayed?: boolean;
            error?: components["schemas"]["OperationProblem"];
        };
        /** @description The results, in the order of the operations */
        BatchResults: {
            results: components["schemas"]["BatchResult"][];
        };
        /** @description An operation was refused, so all were undone; see `results` */
        BatchRolledBackProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "BATCH_ROLLED_BACK";
            /** Format: date-time */
            timestamp: string;
            /** @description The result of each operation */
            results?: components["schemas"]["BatchResult"][];
        };
        CreateOperation: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            op: "create";
            todo: components["schemas"]["NewTodo"];
            /** @description Like the header Idempotency-Key, and remembered together with those */
            key?: string;
        };
        UpdateOperation: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            op: "update";
            /** Format: int64 */
            id: number;
            todo: components["schemas"]["TodoChanges"];
            /** @description Makes a repeat safe, even if the todo has changed since: the update is not made again. The result is the todo as it is now, and `if_match` is ignored */
            key?: string;
            /**
             * @description Like the header If-Match: entity tags, or `*`
             * @example "1"
             */
            if_match?: string;
        };
        DeleteOperation: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            op: "delete";
            /** Format: int64 */
            id: number;
            /**
             * @description Like the header If-Match: entity tags, or `*`
             * @example "1"
             */
            if_match?: string;
        };
        RestoreOperation: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            op: "restore";
            /** Format: int64 */
            id: number;
        };
        /** @description A create, an update, a delete or a restore, as `op` says */
        Operation: components["schemas"]["CreateOperation"] | components["schemas"]["UpdateOperation"] | components["schemas"]["DeleteOperation"] | components["schemas"]["RestoreOperation"];
        /**
         * @example {
         *       "operations": [
         *         {
         *           "op": "create",
         *           "todo": {
         *             "title": "Buy oats"
         *           }
         *         },
         *         {
         *           "op": "update",
         *           "id": 1,
         *           "todo": {
         *             "is_completed": true
         *           }
         *         }
         *       ]
         *     }
         */
        Batch: {
            operations: components["schemas"]["Operation"][];
            /** @description Whether one refusal undoes all */
            atomic?: boolean;
        };
        /**
         * @description A deleted todo, as it was
         * @example {
         *       "id": 1,
         *       "title": "Buy milk",
         *       "description": null,
         *       "is_completed": false,
         *       "created_at": "2026-11-22T16:40:03.214Z",
         *       "updated_at": "2026-11-22T16:40:03.214Z",
         *       "deleted_at": "2026-11-23T08:02:11.509Z"
         *     }
         */
        DeletedTodo: {
            /** Format: int64 */
            id: number;
            /**
             * @description Must not be blank
             * @example Buy milk
             */
            title: string;
            /** @example Two litres, and oats */
            description: string | null;
            /** @description Whether it is done */
            is_completed: boolean;
            /**
             * Format: date-time
             * @description When it was created
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it last changed
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description When it was deleted
             */
            deleted_at: string;
        };
        /** @description The email, the password or the token of a reset is wrong; or: A personal access token may not do this, or lacks the scope */
        InvalidCredentialsOrInsufficientScopeProblem: {
            /**
             * @description Says no more than the status
             * @example about:blank
             */
            type: string;
            /** @description The status in words */
            title: string;
            status: number;
            /** @description What is wrong, for people */
            detail: string;
            /**
             * @description What is wrong, for programs
             * @enum {string}
             */
            error_code: "INVALID_CREDENTIALS" | "INSUFFICIENT_SCOPE";
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * @example {
         *       "current_password": "correct horse battery staple",
         *       "new_password": "tractor beige lagoon fiddle"
         *     }
         */
        PasswordChange: {
            /** Format: password */
            current_password: string;
            /** Format: password */
            new_password: string;
        };
        /**
         * @example {
         *       "email": "ada.lovelace@example.org",
         *       "password": "correct horse battery staple"
         *     }
         */
        EmailChange: {
            /**
             * @description Trimmed, and compared ignoring case. Beyond ASCII only letters and digits, and only as mail programs would write them
             * @example ada@example.org
             */
            email: string;
            /**
             * Format: password
             * @description The current password
             */
            password: string;
        };
        /** @description The user's identity at an outside issuer */
        Identity: {
            issuer: string;
            subject: string;
        };
        /** @description A session: a login and its refreshes */
        ExportedSession: {
            /** Format: uuid */
            id: string;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            last_used_at: string;
            /** Format: date-time */
            expires_at: string;
            user_agent: string | null;
            address: string | null;
        };
        /** @description An address from which the user logged in lately */
        KnownAddress: {
            /** @description SHA-256, in hexadecimal */
            address_hash: string;
            /** Format: date-time */
            expires_at: string;
        };
        /**
         * @description `todos:read` allows reading todos, `todos:write` allows changing and reading them
         * @enum {string}
         */
        Scope: "todos:read" | "todos:write";
        /** @description A personal access token, without the token itself */
        PersonalToken: {
            /** Format: uuid */
            id: string;
            /**
             * @description For people: what uses the token
             * @example backup script
             */
            name: string;
            /** @description What the token allows */
            scopes: components["schemas"]["Scope"][];
            /**
             * Format: date-time
             * @description When it was created
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it expires. Null if never
             */
            expires_at: string | null;
            /**
             * Format: date-time
             * @description When it was last used, to the minute. Null if never
             */
            last_used_at: string | null;
        };
        /** @description A deleted todo that is remembered, with its content as long as it can be restored */
        Tombstone: {
            /** Format: int64 */
            id: number;
            /** Format: int64 */
            revision: number;
            /**
             * @description Must not be blank
             * @example Buy milk
             */
            title: string | null;
            /** @example Two litres, and oats */
            description: string | null;
            /** @description Whether it is done */
            is_completed: boolean | null;
            /**
             * Format: date-time
             * @description When it was created
             */
            created_at: string | null;
            /**
             * Format: date-time
             * @description When it last changed
             */
            updated_at: string | null;
            /**
             * Format: date-time
             * @description When it was deleted
             */
            deleted_at: string;
        };
        /** @description An Idempotency-Key that is remembered */
        UsedKey: {
            key: string;
            /** Format: int64 */
            todo_id: number;
            /** Format: date-time */
            created_at: string;
        };
        /** @description All that is stored about the caller */
        Export: {
            /**
             * Format: date-time
             * @description When the export began
             */
            exported_at: string;
            user: components["schemas"]["User"];
            identities: components["schemas"]["Identity"][];
            sessions: components["schemas"]["ExportedSession"][];
            known_addresses: components["schemas"]["KnownAddress"][];
            personal_tokens: components["schemas"]["PersonalToken"][];
            todos: components["schemas"]["Todo"][];
            deleted_todos: components["schemas"]["Tombstone"][];
            idempotency_keys: components["schemas"]["UsedKey"][];
        };
        /** @description A session: a login and its refreshes */
        Session: {
            /** Format: uuid */
            id: string;
            /**
             * Format: date-time
             * @description When the user logged in
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last used, to the minute
             */
            last_used_at: string;
            /** @description The User-Agent of its login or last refresh. Null if none was sent */
            user_agent: string | null;
            /** @description From where it was logged in or last refreshed: an IPv4 address, or the first 64 bits of an IPv6 address. Null where that was before addresses were kept */
            address: string | null;
            /** @description Whether the access token of this request belongs to it */
            is_current: boolean;
        };
        /** @description A new personal access token */
        CreatedPersonalToken: {
            /** Format: uuid */
            id: string;
            /**
             * @description For people: what uses the token
             * @example backup script
             */
            name: string;
            /** @description What the token allows */
            scopes: components["schemas"]["Scope"][];
            /**
             * Format: date-time
             * @description When it was created
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it expires. Null if never
             */
            expires_at: string | null;
            /**
             * Format: date-time
             * @description When it was last used, to the minute. Null if never
             */
            last_used_at: string | null;
            /**
             * @description For the Authorization header. It is shown only once.
             * @example todo_7HxgMLz_z4B0VW50ZcHlsnGeOBMTQRJbfwPPKPEC-FI
             */
            token: string;
        };
        /**
         * @example {
         *       "name": "backup script",
         *       "scopes": [
         *         "todos:read"
         *       ]
         *     }
         */
        NewPersonalToken: {
            /**
             * @description For people: what uses the token
             * @example backup script
             */
            name: string;
            /** @description What the token allows */
            scopes: components["schemas"]["Scope"][];
            /**
             * @description In the future. Without it, or with null, the token does not expire
             * @example 2099-12-31T23:59:59Z
             */
            expires_at?: string | null;
        };
        /** @description Healthy */
        Health: {
            /** @enum {string} */
            status: "ok";
        };
    };
    responses: {
        /** @description The email is already registered */
        EmailTaken: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["EmailTakenProblem"];
            };
        };
        /** @description Registration is closed, or the invite is not valid */
        RegistrationClosed: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["RegistrationClosedProblem"];
            };
        };
        /** @description Too many requests or attempts; retry after `Retry-After` seconds */
        TooManyRequests: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Retry-After": components["headers"]["Retry-After"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["TooManyRequestsProblem"];
            };
        };
        /** @description The body or the query is invalid; `errors` lists why */
        BadRequest: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["BadRequestProblem"];
            };
        };
        /** @description The database is unreachable, or the service is stopping */
        ServiceUnavailable: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ServiceUnavailableProblem"];
            };
        };
        /** @description The body is over 64 KiB, or over 1 MiB for a batch */
        PayloadTooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["PayloadTooLargeProblem"];
            };
        };
        /** @description The type, charset or encoding of the body is not supported */
        UnsupportedMediaType: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                Accept: components["headers"]["Accept"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["UnsupportedMediaTypeProblem"];
            };
        };
        /** @description The email, the password or the token of a reset is wrong */
        InvalidCredentials: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["InvalidCredentialsProblem"];
            };
        };
        /** @description The token is missing, invalid, expired or revoked */
        Unauthorized: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["UnauthorizedProblem"];
            };
        };
        /** @description Nothing is at this path, or nothing that the caller owns */
        NotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["NotFoundProblem"];
            };
        };
        /** @description A personal access token may not do this, or lacks the scope */
        InsufficientScope: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                /** @description RFC 6750: `Bearer error="insufficient_scope"`, with the `scope` that would do, if any */
                "WWW-Authenticate"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["InsufficientScopeProblem"];
            };
        };
        /** @description The Idempotency-Key was already used with another body */
        IdempotencyKeyReused: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["IdempotencyKeyReusedProblem"];
            };
        };
        /** @description The user has as many todos as the service allows; or: A personal access token may not do this, or lacks the scope */
        QuotaExceededOrInsufficientScope: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                /** @description RFC 6750: `Bearer error="insufficient_scope"`, with the `scope` that would do, if any */
                "WWW-Authenticate"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["QuotaExceededOrInsufficientScopeProblem"];
            };
        };
        /** @description Todo not found or not owned by the caller */
        TodoNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["TodoNotFoundProblem"];
            };
        };
        /** @description The todo has another version than If-Match names; `ETag` has it */
        PreconditionFailed: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                ETag: components["headers"]["ETag"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["PreconditionFailedProblem"];
            };
        };
        /** @description Changes since then are not known any more; start without `since` */
        ChangesExpired: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ChangesExpiredProblem"];
            };
        };
        /** @description An operation was refused, so all were undone; see `results` */
        BatchRolledBack: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["BatchRolledBackProblem"];
            };
        };
        /** @description The email, the password or the token of a reset is wrong; or: A personal access token may not do this, or lacks the scope */
        InvalidCredentialsOrInsufficientScope: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                /** @description RFC 6750: `Bearer error="insufficient_scope"`, with the `scope` that would do, if any */
                "WWW-Authenticate"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["InvalidCredentialsOrInsufficientScopeProblem"];
            };
        };
    };
    parameters: {
        /** @description Entity tags that the client knows, such as `"1"`, or `*`. A 304 where one is that of the todo or the list. */
        "If-None-Match": string;
        /** @description Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo's. */
        "If-Match": string;
        /** @description Makes retries safe: for 30 days, the same key with the same body returns the first response and creates nothing. */
        "Idempotency-Key": string;
        /** @description `wait=N`: to wait for a change, at most N seconds, 60 at most (RFC 7240) */
        Prefer: string;
    };
    requestBodies: never;
    headers: {
        /** @description Names the request: the caller's own id, or a new UUIDv7 */
        "X-Request-Id": string;
        /** @description Content types are not to be guessed */
        "X-Content-Type-Options": "nosniff";
        /** @description `no-store` on tokens and users, `private, no-cache` on todos */
        "Cache-Control": "no-store" | "private, no-cache";
        /**
         * @description The strong entity tag of the todo's version, for If-Match and If-None-Match; of a list the weak one of its state, for If-None-Match
         * @example "1"
         */
        ETag: string;
        /**
         * @description Where the new todo is
         * @example /api/v1/todos/1
         */
        Location: string;
        /** @description The first response to this Idempotency-Key, again */
        "Idempotent-Replayed": "true";
        /**
         * @description The preference that was granted: `wait=N` (RFC 7240)
         * @example wait=30
         */
        "Preference-Applied": string;
        /** @description The next page, where there is one: `</api/v1/todos?…>; rel="next"` (RFC 8288) */
        Link: string;
        /** @description How many todos match, on all pages. Sent with `count=true`. */
        "X-Total-Count": number;
        /** @description Seconds after which to try again */
        "Retry-After": number;
        /**
         * @description RFC 6750: `Bearer`, with `error="invalid_token"` where a token was sent
         * @example Bearer
         */
        "WWW-Authenticate": string;
        /**
         * @description Where requests are limited: how many are left (`r`), and in how many seconds there are more (`t`)
         * @example "default";r=599;t=60
         */
        RateLimit: string;
        /**
         * @description Where requests are limited: how many a user has (`q`) in so many seconds (`w`)
         * @example "default";q=600;w=60
         */
        "RateLimit-Policy": string;
        /** @description The content types that the route takes */
        Accept: string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    register: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Registration"];
            };
        };
        responses: {
            /** @description A user's account */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 4503599627370496,
                     *       "email": "ada@example.org",
                     *       "created_at": "2026-11-22T16:40:03.123Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"];
                };
            };
            400: components["responses"]["BadRequest"];
            403: components["responses"]["RegistrationClosed"];
            409: components["responses"]["EmailTaken"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    login: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Credentials"];
            };
        };
        responses: {
            /** @description The tokens of a session */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0NTAzNTk5NjI3MzcwNDk2IiwiaWF0IjoxNzk1MzY1NjAzLCJleHAiOjE3OTUzNjc0MDN9.NFiF-o732BA4ACjuc_P4VeVhNfKn_bcmO7W9pD1wSpY",
                     *       "token_type": "bearer",
                     *       "expires_in": 1800,
                     *       "refresh_token": "5f03f1bd-5057-47e3-9f82-4f146f287d58.1.fQ2oLqPz0hJYh1o5Jr3pY6c3iXbV7mTnD8sKwEuA9gk"
                     *     }
                     */
                    "application/json": components["schemas"]["Tokens"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["InvalidCredentials"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    refresh: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RefreshToken"];
            };
        };
        responses: {
            /** @description The tokens of a session */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0NTAzNTk5NjI3MzcwNDk2IiwiaWF0IjoxNzk1MzY1NjAzLCJleHAiOjE3OTUzNjc0MDN9.NFiF-o732BA4ACjuc_P4VeVhNfKn_bcmO7W9pD1wSpY",
                     *       "token_type": "bearer",
                     *       "expires_in": 1800,
                     *       "refresh_token": "5f03f1bd-5057-47e3-9f82-4f146f287d58.1.fQ2oLqPz0hJYh1o5Jr3pY6c3iXbV7mTnD8sKwEuA9gk"
                     *     }
                     */
                    "application/json": components["schemas"]["Tokens"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    resetPassword: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PasswordReset"];
            };
        };
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["InvalidCredentials"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    requestPasswordReset: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PasswordResetRequest"];
            };
        };
        responses: {
            /** @description Accepted */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    logout: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    listTodos: {
        parameters: {
            query?: {
                /** @description The number of todos on a page. Without it the whole list is streamed */
                limit?: number;
                /** @description Opaque, from the link on the previous page. Needs limit */
                cursor?: string;
                /** @description Only todos that are done, or that are not */
                is_completed?: boolean;
                /** @description Only todos whose title or description contains this, ignoring case */
                q?: string;
                /** @description Ascending, or with a minus descending; titles by code point. Default: created_at */
                sort?: "created_at" | "-created_at" | "updated_at" | "-updated_at" | "title" | "-title";
                /** @description Whether to say in X-Total-Count how many todos match */
                count?: boolean;
            };
            header?: {
                /** @description Entity tags that the client knows, such as `"1"`, or `*`. A 304 where one is that of the todo or the list. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    ETag: components["headers"]["ETag"];
                    Link: components["headers"]["Link"];
                    "X-Total-Count": components["headers"]["X-Total-Count"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "title": "Buy milk",
                     *         "description": null,
                     *         "is_completed": false,
                     *         "created_at": "2026-11-22T16:40:03.214Z",
                     *         "updated_at": "2026-11-22T16:40:03.214Z"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["Todo"][];
                };
            };
            /** @description Not Modified */
            304: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    ETag: components["headers"]["ETag"];
                    Link: components["headers"]["Link"];
                    "X-Total-Count": components["headers"]["X-Total-Count"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    createTodo: {
        parameters: {
            query?: never;
            header?: {
                /** @description Makes retries safe: for 30 days, the same key with the same body returns the first response and creates nothing. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewTodo"];
            };
        };
        responses: {
            /** @description The todo */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    ETag: components["headers"]["ETag"];
                    Location: components["headers"]["Location"];
                    "Idempotent-Replayed": components["headers"]["Idempotent-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "title": "Buy milk",
                     *       "description": null,
                     *       "is_completed": false,
                     *       "created_at": "2026-11-22T16:40:03.214Z",
                     *       "updated_at": "2026-11-22T16:40:03.214Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Todo"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["QuotaExceededOrInsufficientScope"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["IdempotencyKeyReused"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    getTodo: {
        parameters: {
            query?: never;
            header?: {
                /** @description Entity tags that the client knows, such as `"1"`, or `*`. A 304 where one is that of the todo or the list. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path: {
                /**
                 * @description The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The todo */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "title": "Buy milk",
                     *       "description": null,
                     *       "is_completed": false,
                     *       "created_at": "2026-11-22T16:40:03.214Z",
                     *       "updated_at": "2026-11-22T16:40:03.214Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Todo"];
                };
            };
            /** @description Not Modified */
            304: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            404: components["responses"]["TodoNotFound"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    putTodo: {
        parameters: {
            query?: never;
            header?: {
                /** @description Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo's. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                /**
                 * @description The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TodoChanges"];
            };
        };
        responses: {
            /** @description The todo */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "title": "Buy milk",
                     *       "description": null,
                     *       "is_completed": false,
                     *       "created_at": "2026-11-22T16:40:03.214Z",
                     *       "updated_at": "2026-11-22T16:40:03.214Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Todo"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            404: components["responses"]["TodoNotFound"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    deleteTodo: {
        parameters: {
            query?: never;
            header?: {
                /** @description Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo's. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                /**
                 * @description The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            404: components["responses"]["TodoNotFound"];
            412: components["responses"]["PreconditionFailed"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    patchTodo: {
        parameters: {
            query?: never;
            header?: {
                /** @description Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo's. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                /**
                 * @description The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TodoChanges"];
            };
        };
        responses: {
            /** @description The todo */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "title": "Buy milk",
                     *       "description": null,
                     *       "is_completed": false,
                     *       "created_at": "2026-11-22T16:40:03.214Z",
                     *       "updated_at": "2026-11-22T16:40:03.214Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Todo"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            404: components["responses"]["TodoNotFound"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    getChanges: {
        parameters: {
            query?: {
                /** @description Opaque: the `next` of an earlier answer. Without it all todos are listed */
                since?: string;
                /** @description How many changes at most. Default: 500 */
                limit?: number;
            };
            header?: {
                /** @description `wait=N`: to wait for a change, at most N seconds, 60 at most (RFC 7240) */
                Prefer?: components["parameters"]["Prefer"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of changes */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "changes": [
                     *         {
                     *           "id": 1,
                     *           "etag": "…",
                     *           "todo": {
                     *             "id": 1,
                     *             "title": "Buy milk",
                     *             "description": null,
                     *             "is_completed": false,
                     *             "created_at": "2026-11-22T16:40:03.214Z",
                     *             "updated_at": "2026-11-22T16:40:03.214Z"
                     *           }
                     *         }
                     *       ],
                     *       "next": "…",
                     *       "has_more": true
                     *     }
                     */
                    "application/json": components["schemas"]["ChangesPage"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            410: components["responses"]["ChangesExpired"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    getEvents: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Server-sent events of the HTML standard */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example event: state
                     *     id: WyJh.b2Nh
                     *     data: {"state":"WyJh.b2Nh"}
                     */
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    runBatch: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Batch"];
            };
        };
        responses: {
            /** @description The results, in the order of the operations */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "results": [
                     *         {
                     *           "status": 201,
                     *           "etag": "\"1\"",
                     *           "todo": {
                     *             "id": 1,
                     *             "title": "Buy milk",
                     *             "description": null,
                     *             "is_completed": false,
                     *             "created_at": "2026-11-22T16:40:03.214Z",
                     *             "updated_at": "2026-11-22T16:40:03.214Z"
                     *           }
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["BatchResults"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            409: components["responses"]["BatchRolledBack"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    listDeletedTodos: {
        parameters: {
            query?: {
                /** @description The number of todos on a page. Without it the whole list is streamed */
                limit?: number;
                /** @description Opaque, from the link on the previous page. Needs limit */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": 1,
                     *         "title": "Buy milk",
                     *         "description": null,
                     *         "is_completed": false,
                     *         "created_at": "2026-11-22T16:40:03.214Z",
                     *         "updated_at": "2026-11-22T16:40:03.214Z",
                     *         "deleted_at": "2026-11-23T08:02:11.509Z"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["DeletedTodo"][];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    forgetDeletedTodos: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    forgetDeletedTodo: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            404: components["responses"]["TodoNotFound"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    restoreTodo: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The todo */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 1,
                     *       "title": "Buy milk",
                     *       "description": null,
                     *       "is_completed": false,
                     *       "created_at": "2026-11-22T16:40:03.214Z",
                     *       "updated_at": "2026-11-22T16:40:03.214Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Todo"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["QuotaExceededOrInsufficientScope"];
            404: components["responses"]["TodoNotFound"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    getMe: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A user's account */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": 4503599627370496,
                     *       "email": "ada@example.org",
                     *       "created_at": "2026-11-22T16:40:03.123Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    deleteMe: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    changePassword: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PasswordChange"];
            };
        };
        responses: {
            /** @description The tokens of a session */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0NTAzNTk5NjI3MzcwNDk2IiwiaWF0IjoxNzk1MzY1NjAzLCJleHAiOjE3OTUzNjc0MDN9.NFiF-o732BA4ACjuc_P4VeVhNfKn_bcmO7W9pD1wSpY",
                     *       "token_type": "bearer",
                     *       "expires_in": 1800,
                     *       "refresh_token": "5f03f1bd-5057-47e3-9f82-4f146f287d58.1.fQ2oLqPz0hJYh1o5Jr3pY6c3iXbV7mTnD8sKwEuA9gk"
                     *     }
                     */
                    "application/json": components["schemas"]["Tokens"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InvalidCredentialsOrInsufficientScope"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    changeEmail: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EmailChange"];
            };
        };
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InvalidCredentialsOrInsufficientScope"];
            409: components["responses"]["EmailTaken"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    exportMe: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All that is stored about the caller */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "exported_at": "2026-11-22T16:40:03.214Z",
                     *       "user": {
                     *         "id": 4503599627370496,
                     *         "email": "ada@example.org",
                     *         "created_at": "2026-11-22T16:40:03.123Z"
                     *       },
                     *       "identities": [
                     *         {
                     *           "issuer": "…",
                     *           "subject": "…"
                     *         }
                     *       ],
                     *       "sessions": [
                     *         {
                     *           "id": "0192d5c4-5c52-7d1e-9b3f-8a1f6f1f2b11",
                     *           "created_at": "2026-11-22T16:40:03.214Z",
                     *           "last_used_at": "2026-11-22T16:40:03.214Z",
                     *           "expires_at": "2026-11-22T16:40:03.214Z",
                     *           "user_agent": "…",
                     *           "address": "…"
                     *         }
                     *       ],
                     *       "known_addresses": [
                     *         {
                     *           "address_hash": "…",
                     *           "expires_at": "2026-11-22T16:40:03.214Z"
                     *         }
                     *       ],
                     *       "personal_tokens": [
                     *         {
                     *           "id": "0192d5c4-5c52-7d1e-9b3f-8a1f6f1f2b11",
                     *           "name": "backup script",
                     *           "scopes": [
                     *             "todos:read"
                     *           ],
                     *           "created_at": "2026-11-22T16:40:03.214Z",
                     *           "expires_at": "2026-11-22T16:40:03.214Z",
                     *           "last_used_at": "2026-11-22T16:40:03.214Z"
                     *         }
                     *       ],
                     *       "todos": [
                     *         {
                     *           "id": 1,
                     *           "title": "Buy milk",
                     *           "description": null,
                     *           "is_completed": false,
                     *           "created_at": "2026-11-22T16:40:03.214Z",
                     *           "updated_at": "2026-11-22T16:40:03.214Z"
                     *         }
                     *       ],
                     *       "deleted_todos": [
                     *         {
                     *           "id": 1,
                     *           "revision": 1,
                     *           "title": "Buy milk",
                     *           "description": "Two litres, and oats",
                     *           "is_completed": true,
                     *           "created_at": "2026-11-22T16:40:03.214Z",
                     *           "updated_at": "2026-11-22T16:40:03.214Z",
                     *           "deleted_at": "2026-11-22T16:40:03.214Z"
                     *         }
                     *       ],
                     *       "idempotency_keys": [
                     *         {
                     *           "key": "…",
                     *           "todo_id": 1,
                     *           "created_at": "2026-11-22T16:40:03.214Z"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["Export"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    listSessions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The latest used first */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": "0192d5c4-5c52-7d1e-9b3f-8a1f6f1f2b11",
                     *         "created_at": "2026-11-22T16:40:03.214Z",
                     *         "last_used_at": "2026-11-22T16:40:03.214Z",
                     *         "user_agent": "…",
                     *         "address": "…",
                     *         "is_current": true
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["Session"][];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    endSession: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The session's id */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    listPersonalTokens: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": "0192d5c4-5c52-7d1e-9b3f-8a1f6f1f2b11",
                     *         "name": "backup script",
                     *         "scopes": [
                     *           "todos:read"
                     *         ],
                     *         "created_at": "2026-11-22T16:40:03.214Z",
                     *         "expires_at": "2026-11-22T16:40:03.214Z",
                     *         "last_used_at": "2026-11-22T16:40:03.214Z"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["PersonalToken"][];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    createPersonalToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewPersonalToken"];
            };
        };
        responses: {
            /** @description A new personal access token */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0192d5c4-5c52-7d1e-9b3f-8a1f6f1f2b11",
                     *       "name": "backup script",
                     *       "scopes": [
                     *         "todos:read"
                     *       ],
                     *       "created_at": "2026-11-22T16:40:03.214Z",
                     *       "expires_at": "2026-11-22T16:40:03.214Z",
                     *       "last_used_at": "2026-11-22T16:40:03.214Z",
                     *       "token": "todo_7HxgMLz_z4B0VW50ZcHlsnGeOBMTQRJbfwPPKPEC-FI"
                     *     }
                     */
                    "application/json": components["schemas"]["CreatedPersonalToken"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["QuotaExceededOrInsufficientScope"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    deletePersonalToken: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of a personal access token */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No Content */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["InsufficientScope"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooManyRequests"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    getLiveness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Healthy */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok"
                     *     }
                     */
                    "application/json": components["schemas"]["Health"];
                };
            };
        };
    };
    getReadiness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Healthy */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok"
                     *     }
                     */
                    "application/json": components["schemas"]["Health"];
                };
            };
            503: components["responses"]["ServiceUnavailable"];
        };
    };
}

/** What the service demands of the members of a new todo. */
export const rules = {
    "required": [
        "title"
    ],
    "members": {
        "title": {
            "type": "string",
            "minLength": 1,
            "maxLength": 254,
            "pattern": "[^\\s\\x85]"
        },
        "description": {
            "type": "string",
            "nullable": true,
            "maxLength": 999
        },
        "is_completed": {
            "type": "boolean"
        }
    }
} as const
