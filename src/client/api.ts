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
         * The number of registrations from one address in an hour is limited. The operator may have restricted registration to invited users, or closed it.
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
         * Opens a session. In 15 minutes these failed logins are allowed: 10 of an account from an address, 100 from an address (IPv6: 1,000 from a /48), and 100 of an account. After that the response is 429, even with the right password. The limits of the address and of the account do not apply to addresses from which the account was logged in to during the last 30 days. An account may have 60 successful logins in 15 minutes.
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
         * A refresh token can be used once. If the response is lost, the same request may be repeated within 10 seconds: it gives the same new refresh token again, unless that has been used. Any other reuse of a token ends the whole session.
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
         * Without the old password. Ends all sessions and personal access tokens of the user, and forgets failed logins. A token can be used once, within an hour, and only until a newer one is made.
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
         * The response is the same whether somebody has the email or not. The number of requests for an email and from an address is limited. A service that sends no mails answers 404: there the operator makes the tokens.
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
         * Ends the session: its refresh token and its access tokens. If the token belongs to no session, because another system issued it, the token itself is refused until it expires.
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
         * Without `limit`, all todos that match as one array, which is streamed: a bare array, so that clients can read it item by item. With `limit`, a page: follow the `Link` with `rel="next"` to the others. Todos that are created or deleted meanwhile neither repeat nor hide another. Send the ETag back as If-None-Match to learn at little cost whether any todo has changed. At most two searches, whole lists or pages of more than 100 todos of a user run at once; further ones wait up to 5 seconds.
         */
        get: operations["listTodos"];
        put?: never;
        /**
         * Create a todo
         * Send an Idempotency-Key to make retries safe: a request that is repeated with the same key never creates a second todo.
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
         * A todo of another user is a 404, as if it did not exist.
         */
        get: operations["getTodo"];
        /**
         * Change a todo
         * Members that are left out stay as they are, unlike a replacement as in RFC 9110: a client that does not know a member yet must not erase it. `description: null` clears it. `id`, `created_at` and `updated_at` are accepted and ignored, so that a todo can be sent back as it came.
         */
        put: operations["putTodo"];
        post?: never;
        /**
         * Delete a todo
         * Moves it to the trash, from which it can be restored for 30 days, or as long as the operator has set. With If-Match, deletes only the version that the caller has seen.
         */
        delete: operations["deleteTodo"];
        options?: never;
        head?: never;
        /**
         * Change a todo by a merge patch
         * The same as PUT, and accepts `application/merge-patch+json` (RFC 7396), too.
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
         * For clients that keep a replica. Without `since`: all todos, page by page. With `since`: each todo that was created, changed or deleted after it, once, in its latest form. While `has_more` is true, continue at once with `next` as `since`; then store `next` for the next time. Nothing is ever left out. Deletions are remembered for 90 days: after a 410, start again without `since`. With `Prefer: wait=30` a response without changes is delayed until there is one, for at most 30 seconds.
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
         * A stream of server-sent events: `event: state` with `data: {"state": "…"}` at once, and after each change. The state is the `next` that a complete fetch of changes ends with: a client that has it already need not fetch. A comment is sent every 15 seconds. The stream ends when its token expires or is revoked, and when the service stops; `retry` then says when to reconnect. Read it by `fetch`, because `EventSource` cannot send Authorization. At most 20 streams of a user.
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
         * Up to 100 operations in one transaction, in their order. Each does what its single request would do and has its own result: if one is refused, the others are done anyway. With `atomic`, one refusal undoes all: a 409 with the results, in which those that would have succeeded have 424. Creates and updates with a `key` can be retried safely. The body may have 1 MiB.
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
         * The deleted todos that can be restored, the latest deletion first: all or, with `limit`, a page of them, as in the list of todos.
         */
        get: operations["listDeletedTodos"];
        put?: never;
        post?: never;
        /**
         * Empty the trash
         * Deletes all todos in it for good.
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
         * Takes it out of the trash, so that it cannot be restored.
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
         * Brings it back with its id, its content and its `created_at`. A todo that is not deleted is returned as it is.
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
         * The user to whom the access token belongs.
         */
        get: operations["getMe"];
        put?: never;
        post?: never;
        /**
         * Delete the account
         * Deletes the user, their todos and their sessions for good. All their tokens are refused. The email can be registered again.
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
         * Ends all sessions of the user, including this one, and all tokens without a session. Answers with the tokens of a new session. A wrong current password counts as a failed login. Users of an outside issuer have no password.
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
         * If the service sends mails, the old address gets one. A wrong password counts as a failed login. Users of an outside issuer have no password.
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
         * One document, streamed: the account, its sessions and tokens (without anything that gives access), and all todos. Changes that are made meanwhile may be in it or not. If the connection ends early, the export has failed.
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
         * The caller's sessions, the last used ones first, at most 1,000.
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
         * Ends one of the caller's sessions: its refresh token and access tokens.
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
         * The tokens that have not expired, the oldest first.
         */
        get: operations["listPersonalTokens"];
        put?: never;
        /**
         * Create a personal access token
         * A bearer token for scripts. It works only for /todos, within its scopes, and is shown only in this response. A user has at most 50.
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
         * This instance refuses the token at once, all others within 5 seconds.
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
         * Succeeds while the process serves requests. Restart it if there is no response.
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
         * Succeeds when the database answers, can be written to, and has the schema that this version needs.
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
        /** One broken rule of a body or of a query */
        BrokenRule: {
            /**
             * Where in the body: RFC 6901
             * @example /title
             */
            pointer?: string;
            /** Or which parameter of the query */
            parameter?: string;
            /**
             * For people
             * @example must not be empty
             */
            message: string;
        };
        /**
         * A user's account
         * @example {
         *       "id": 4503599627370496,
         *       "email": "ada@example.org",
         *       "created_at": "2026-11-22T16:40:03.123Z"
         *     }
         */
        User: {
            id: number;
            /** Null for users of an outside issuer */
            email: string | null;
            /** Format: date-time */
            created_at: string;
        };
        /** The email is already registered */
        EmailTakenProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "EMAIL_TAKEN";
            /** Format: date-time */
            timestamp: string;
        };
        /** Registration is closed, or the invite is not valid */
        RegistrationClosedProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "REGISTRATION_CLOSED";
            /** Format: date-time */
            timestamp: string;
        };
        /** The body or the query is invalid; `errors` lists why */
        BadRequestProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "BAD_REQUEST";
            /** Format: date-time */
            timestamp: string;
            /** The broken rules, 20 at most */
            errors?: components["schemas"]["BrokenRule"][];
        };
        /** Too many requests or attempts; retry after `Retry-After` seconds */
        TooManyRequestsProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "TOO_MANY_REQUESTS";
            /** Format: date-time */
            timestamp: string;
        };
        /** The database is unreachable, or the service is stopping */
        ServiceUnavailableProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "SERVICE_UNAVAILABLE";
            /** Format: date-time */
            timestamp: string;
        };
        /** The body is over 64 KiB, or over 1 MiB for a batch */
        PayloadTooLargeProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "PAYLOAD_TOO_LARGE";
            /** Format: date-time */
            timestamp: string;
        };
        /** The type, charset or encoding of the body is not supported */
        UnsupportedMediaTypeProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
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
             * Trimmed, and compared ignoring case. Beyond ASCII only letters and digits, and only as mail programs would write them
             * @example ada@example.org
             */
            email: string;
            password: string;
            /** A token from the operator, where registration is by invite. Can be used once. */
            invite?: string;
        };
        /**
         * The tokens of a session
         * @example {
         *       "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0NTAzNTk5NjI3MzcwNDk2IiwiaWF0IjoxNzk1MzY1NjAzLCJleHAiOjE3OTUzNjc0MDN9.NFiF-o732BA4ACjuc_P4VeVhNfKn_bcmO7W9pD1wSpY",
         *       "token_type": "bearer",
         *       "expires_in": 1800,
         *       "refresh_token": "5f03f1bd-5057-47e3-9f82-4f146f287d58.1.fQ2oLqPz0hJYh1o5Jr3pY6c3iXbV7mTnD8sKwEuA9gk"
         *     }
         */
        Tokens: {
            /** A JWT for the Authorization header */
            access_token: string;
            /** @enum {string} */
            token_type: "bearer";
            /** Seconds until the access token expires */
            expires_in: number;
            /** Opaque and single-use */
            refresh_token: string;
        };
        /** The email, the password or the token of a reset is wrong */
        InvalidCredentialsProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
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
            password: string;
        };
        /** The token is missing, invalid, expired or revoked */
        UnauthorizedProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
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
            /** The refresh token of the last response */
            refresh_token: string;
        };
        /**
         * @example {
         *       "token": "7HxgMLz_z4B0VW50ZcHlsnGeOBMTQRJbfwPPKPEC-FI",
         *       "new_password": "tractor beige lagoon fiddle"
         *     }
         */
        PasswordReset: {
            /** From the mail or from the operator. Can be used once, within an hour. */
            token: string;
            new_password: string;
        };
        /** Nothing is at this path, or nothing that the caller owns */
        NotFoundProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
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
            email: string;
        };
        /** A personal access token may not do this, or lacks the scope */
        InsufficientScopeProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "INSUFFICIENT_SCOPE";
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * The todo
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
            id: number;
            /**
             * Must not be blank
             * @example Buy milk
             */
            title: string;
            /** @example Two litres, and oats */
            description: string | null;
            /** Whether it is done */
            is_completed: boolean;
            /**
             * When it was created
             */
            created_at: string;
            /**
             * When it last changed
             */
            updated_at: string;
        };
        /** The Idempotency-Key was already used with another body */
        IdempotencyKeyReusedProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "IDEMPOTENCY_KEY_REUSED";
            /** Format: date-time */
            timestamp: string;
        };
        /** The user has as many todos as the service allows; or: A personal access token may not do this, or lacks the scope */
        QuotaExceededOrInsufficientScopeProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
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
             * Must not be blank
             * @example Buy milk
             */
            title: string;
            /** @example Two litres, and oats */
            description?: string | null;
            /** Whether it is done */
            is_completed?: boolean;
        };
        /** Todo not found or not owned by the caller */
        TodoNotFoundProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "TODO_NOT_FOUND";
            /** Format: date-time */
            timestamp: string;
        };
        /** The todo has another version than If-Match names; `ETag` has it */
        PreconditionFailedProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
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
             * Must not be blank
             * @example Buy milk
             */
            title?: string;
            /** @example Two litres, and oats */
            description?: string | null;
            /** Whether it is done */
            is_completed?: boolean;
        };
        /** A todo that has changed */
        Change: {
            id: number;
            /** Its entity tag */
            etag: string | null;
            /** The todo as it is now. Null if it was deleted */
            todo: components["schemas"]["Todo"] | null;
        };
        /** A page of changes */
        ChangesPage: {
            changes: components["schemas"]["Change"][];
            /** The `since` of the next request */
            next: string;
            /** Whether there are more changes to fetch at once */
            has_more: boolean;
        };
        /** Changes since then are not known any more; start without `since` */
        ChangesExpiredProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "CHANGES_EXPIRED";
            /** Format: date-time */
            timestamp: string;
        };
        /** The error that the single request would have had */
        OperationProblem: {
            type: string;
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /** What is wrong, for programs */
            error_code: string;
            /** Format: date-time */
            timestamp: string;
        };
        /**
         * The result of an operation. With a 412, `todo` is the current one
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
            /** The entity tag of `todo` */
            etag?: string;
            todo?: components["schemas"]["Todo"];
            /** Whether an earlier operation with the same key was done instead */
            replayed?: boolean;
            error?: components["schemas"]["OperationProblem"];
        };
        /** The results, in the order of the operations */
        BatchResults: {
            results: components["schemas"]["BatchResult"][];
        };
        /** An operation was refused, so all were undone; see `results` */
        BatchRolledBackProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
             * @enum {string}
             */
            error_code: "BATCH_ROLLED_BACK";
            /** Format: date-time */
            timestamp: string;
            /** The result of each operation */
            results?: components["schemas"]["BatchResult"][];
        };
        CreateOperation: {
            /**
             * discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            op: "create";
            todo: components["schemas"]["NewTodo"];
            /** Like the header Idempotency-Key, and remembered together with those */
            key?: string;
        };
        UpdateOperation: {
            /**
             * discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            op: "update";
            id: number;
            todo: components["schemas"]["TodoChanges"];
            /** Makes a repeat safe, even if the todo has changed since: the update is not made again. The result is the todo as it is now, and `if_match` is ignored */
            key?: string;
            /**
             * Like the header If-Match: entity tags, or `*`
             * @example "1"
             */
            if_match?: string;
        };
        DeleteOperation: {
            /**
             * discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            op: "delete";
            id: number;
            /**
             * Like the header If-Match: entity tags, or `*`
             * @example "1"
             */
            if_match?: string;
        };
        RestoreOperation: {
            /**
             * discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            op: "restore";
            id: number;
        };
        /** A create, an update, a delete or a restore, as `op` says */
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
            /** Whether one refusal undoes all */
            atomic?: boolean;
        };
        /**
         * A deleted todo, as it was
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
            id: number;
            /**
             * Must not be blank
             * @example Buy milk
             */
            title: string;
            /** @example Two litres, and oats */
            description: string | null;
            /** Whether it is done */
            is_completed: boolean;
            /**
             * When it was created
             */
            created_at: string;
            /**
             * When it last changed
             */
            updated_at: string;
            /**
             * When it was deleted
             */
            deleted_at: string;
        };
        /** The email, the password or the token of a reset is wrong; or: A personal access token may not do this, or lacks the scope */
        InvalidCredentialsOrInsufficientScopeProblem: {
            /**
             * Says no more than the status
             * @example about:blank
             */
            type: string;
            /** The status in words */
            title: string;
            status: number;
            /** What is wrong, for people */
            detail: string;
            /**
             * What is wrong, for programs
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
            current_password: string;
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
             * Trimmed, and compared ignoring case. Beyond ASCII only letters and digits, and only as mail programs would write them
             * @example ada@example.org
             */
            email: string;
            /**
             * The current password
             */
            password: string;
        };
        /** The user's identity at an outside issuer */
        Identity: {
            issuer: string;
            subject: string;
        };
        /** A session: a login and its refreshes */
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
        /** An address from which the user logged in lately */
        KnownAddress: {
            /** SHA-256, in hexadecimal */
            address_hash: string;
            /** Format: date-time */
            expires_at: string;
        };
        /**
         * `todos:read` allows reading todos, `todos:write` allows changing and reading them
         * @enum {string}
         */
        Scope: "todos:read" | "todos:write";
        /** A personal access token, without the token itself */
        PersonalToken: {
            /** Format: uuid */
            id: string;
            /**
             * For people: what uses the token
             * @example backup script
             */
            name: string;
            /** What the token allows */
            scopes: components["schemas"]["Scope"][];
            /**
             * When it was created
             */
            created_at: string;
            /**
             * When it expires. Null if never
             */
            expires_at: string | null;
            /**
             * When it was last used, to the minute. Null if never
             */
            last_used_at: string | null;
        };
        /** A deleted todo that is remembered, with its content as long as it can be restored */
        Tombstone: {
            id: number;
            revision: number;
            /**
             * Must not be blank
             * @example Buy milk
             */
            title: string | null;
            /** @example Two litres, and oats */
            description: string | null;
            /** Whether it is done */
            is_completed: boolean | null;
            /**
             * When it was created
             */
            created_at: string | null;
            /**
             * When it last changed
             */
            updated_at: string | null;
            /**
             * When it was deleted
             */
            deleted_at: string;
        };
        /** An Idempotency-Key that is remembered */
        UsedKey: {
            key: string;
            todo_id: number;
            /** Format: date-time */
            created_at: string;
        };
        /** All that is stored about the caller */
        Export: {
            /**
             * When the export began
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
        /** A session: a login and its refreshes */
        Session: {
            /** Format: uuid */
            id: string;
            /**
             * When the user logged in
             */
            created_at: string;
            /**
             * When it was last used, to the minute
             */
            last_used_at: string;
            /** The User-Agent of its login or last refresh. Null if none was sent */
            user_agent: string | null;
            /** From where it was logged in or last refreshed: an IPv4 address, or the first 64 bits of an IPv6 address. Null where that was before addresses were kept */
            address: string | null;
            /** Whether the access token of this request belongs to it */
            is_current: boolean;
        };
        /** A new personal access token */
        CreatedPersonalToken: {
            /** Format: uuid */
            id: string;
            /**
             * For people: what uses the token
             * @example backup script
             */
            name: string;
            /** What the token allows */
            scopes: components["schemas"]["Scope"][];
            /**
             * When it was created
             */
            created_at: string;
            /**
             * When it expires. Null if never
             */
            expires_at: string | null;
            /**
             * When it was last used, to the minute. Null if never
             */
            last_used_at: string | null;
            /**
             * For the Authorization header. It is shown only once.
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
             * For people: what uses the token
             * @example backup script
             */
            name: string;
            /** What the token allows */
            scopes: components["schemas"]["Scope"][];
            /**
             * In the future. Without it, or with null, the token does not expire
             * @example 2099-12-31T23:59:59Z
             */
            expires_at?: string | null;
        };
        /** Healthy */
        Health: {
            /** @enum {string} */
            status: "ok";
        };
    };
    responses: {
        /** The email is already registered */
        EmailTaken: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["EmailTakenProblem"];
            };
        };
        /** Registration is closed, or the invite is not valid */
        RegistrationClosed: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["RegistrationClosedProblem"];
            };
        };
        /** The body or the query is invalid; `errors` lists why */
        BadRequest: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["BadRequestProblem"];
            };
        };
        /** Too many requests or attempts; retry after `Retry-After` seconds */
        TooManyRequests: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Retry-After": components["headers"]["Retry-After"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["TooManyRequestsProblem"];
            };
        };
        /** The database is unreachable, or the service is stopping */
        ServiceUnavailable: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Retry-After": components["headers"]["Retry-After"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ServiceUnavailableProblem"];
            };
        };
        /** The body is over 64 KiB, or over 1 MiB for a batch */
        PayloadTooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["PayloadTooLargeProblem"];
            };
        };
        /** The type, charset or encoding of the body is not supported */
        UnsupportedMediaType: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                Accept: components["headers"]["Accept"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["UnsupportedMediaTypeProblem"];
            };
        };
        /** The email, the password or the token of a reset is wrong */
        InvalidCredentials: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["InvalidCredentialsProblem"];
            };
        };
        /** The token is missing, invalid, expired or revoked */
        Unauthorized: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["UnauthorizedProblem"];
            };
        };
        /** Nothing is at this path, or nothing that the caller owns */
        NotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["NotFoundProblem"];
            };
        };
        /** A personal access token may not do this, or lacks the scope */
        InsufficientScope: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                /** RFC 6750: `Bearer error="insufficient_scope"`, with the `scope` that would do, if any */
                "WWW-Authenticate"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["InsufficientScopeProblem"];
            };
        };
        /** The Idempotency-Key was already used with another body */
        IdempotencyKeyReused: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["IdempotencyKeyReusedProblem"];
            };
        };
        /** The user has as many todos as the service allows; or: A personal access token may not do this, or lacks the scope */
        QuotaExceededOrInsufficientScope: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                /** RFC 6750: `Bearer error="insufficient_scope"`, with the `scope` that would do, if any */
                "WWW-Authenticate"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["QuotaExceededOrInsufficientScopeProblem"];
            };
        };
        /** Todo not found or not owned by the caller */
        TodoNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["TodoNotFoundProblem"];
            };
        };
        /** The todo has another version than If-Match names; `ETag` has it */
        PreconditionFailed: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                ETag: components["headers"]["ETag"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["PreconditionFailedProblem"];
            };
        };
        /** Changes since then are not known any more; start without `since` */
        ChangesExpired: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ChangesExpiredProblem"];
            };
        };
        /** An operation was refused, so all were undone; see `results` */
        BatchRolledBack: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["BatchRolledBackProblem"];
            };
        };
        /** The email, the password or the token of a reset is wrong; or: A personal access token may not do this, or lacks the scope */
        InvalidCredentialsOrInsufficientScope: {
            headers: {
                "X-Request-Id": components["headers"]["X-Request-Id"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "Cache-Control": components["headers"]["Cache-Control"];
                RateLimit: components["headers"]["RateLimit"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                /** RFC 6750: `Bearer error="insufficient_scope"`, with the `scope` that would do, if any */
                "WWW-Authenticate"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["InvalidCredentialsOrInsufficientScopeProblem"];
            };
        };
    };
    parameters: {
        /** Entity tags that the client knows, such as `"1"`, or `*`. A 304 where one is that of the todo or the list. */
        "If-None-Match": string;
        /** Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo's. */
        "If-Match": string;
        /** Makes retries safe: for 30 days, the same key with the same body returns the first response and creates nothing. */
        "Idempotency-Key": string;
        /** `wait=N`: to wait for a change, at most N seconds, 60 at most (RFC 7240) */
        Prefer: string;
    };
    requestBodies: never;
    headers: {
        /** Names the request: the caller's own id, or a new UUIDv7 */
        "X-Request-Id": string;
        /** Content types are not to be guessed */
        "X-Content-Type-Options": "nosniff";
        /** `private, no-cache` on todos, `no-store` on all else */
        "Cache-Control": "no-store" | "private, no-cache";
        /**
         * The strong entity tag of the todo's version, for If-Match and If-None-Match; of a list the weak one of its state, for If-None-Match
         * @example "1"
         */
        ETag: string;
        /**
         * Where the new todo is
         * @example /api/v1/todos/1
         */
        Location: string;
        /** The first response to this Idempotency-Key, again */
        "Idempotent-Replayed": "true";
        /**
         * The preference that was granted: `wait=N` (RFC 7240)
         * @example wait=30
         */
        "Preference-Applied": string;
        /** The next page, where there is one: `</api/v1/todos?…>; rel="next"` (RFC 8288) */
        Link: string;
        /** How many todos match, on all pages. Sent with `count=true`. */
        "X-Total-Count": number;
        /** Seconds after which to try again */
        "Retry-After": number;
        /**
         * RFC 6750: `Bearer`, with `error="invalid_token"` where a token was sent
         * @example Bearer
         */
        "WWW-Authenticate": string;
        /**
         * Where requests are limited: how many are left (`r`), and in how many seconds there are more (`t`)
         * @example "default";r=599;t=60
         */
        RateLimit: string;
        /**
         * Where requests are limited: how many a user has (`q`) in so many seconds (`w`)
         * @example "default";q=600;w=60
         */
        "RateLimit-Policy": string;
        /** The content types that the route takes */
        Accept: string;
        /** What browsers are to save it as */
        "Content-Disposition": string;
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
            /** A user's account */
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
            /** The tokens of a session */
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
            /** The tokens of a session */
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
            429: components["responses"]["TooManyRequests"];
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
            /** No Content */
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
            429: components["responses"]["TooManyRequests"];
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
            /** Accepted */
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
            /** No Content */
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
                /** The number of todos on a page. Without it the whole list is streamed */
                limit?: number;
                /** Opaque, from the link on the previous page. Needs limit */
                cursor?: string;
                /** Only todos that are done, or that are not */
                is_completed?: boolean;
                /** Only todos whose title or description contains this, ignoring case */
                q?: string;
                /** Ascending, or with a minus descending; titles by code point. Default: created_at */
                sort?: "created_at" | "-created_at" | "updated_at" | "-updated_at" | "title" | "-title";
                /** Whether to say in X-Total-Count how many todos match */
                count?: boolean;
            };
            header?: {
                /** Entity tags that the client knows, such as `"1"`, or `*`. A 304 where one is that of the todo or the list. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** OK */
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
            /** Not Modified */
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
                /** Makes retries safe: for 30 days, the same key with the same body returns the first response and creates nothing. */
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
            /** The todo */
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
                /** Entity tags that the client knows, such as `"1"`, or `*`. A 304 where one is that of the todo or the list. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path: {
                /**
                 * The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** The todo */
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
            /** Not Modified */
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
                /** Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo's. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                /**
                 * The id of a todo
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
            /** The todo */
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
                /** Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo's. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                /**
                 * The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** No Content */
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
                /** Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo's. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                /**
                 * The id of a todo
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
            /** The todo */
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
                /** Opaque: the `next` of an earlier response. Without it all todos are listed */
                since?: string;
                /** How many changes at most. Default: 500 */
                limit?: number;
            };
            header?: {
                /** `wait=N`: to wait for a change, at most N seconds, 60 at most (RFC 7240) */
                Prefer?: components["parameters"]["Prefer"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** A page of changes */
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
            /** Server-sent events of the HTML standard */
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
            /** The results, in the order of the operations */
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
                /** The number of todos on a page. Without it the whole list is streamed */
                limit?: number;
                /** Opaque, from the link on the previous page. Needs limit */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** OK */
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
            /** No Content */
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
                 * The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** No Content */
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
                 * The id of a todo
                 * @example 1
                 */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** The todo */
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
            /** A user's account */
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
            /** No Content */
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
            /** The tokens of a session */
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
            /** No Content */
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
            /** All that is stored about the caller */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    RateLimit: components["headers"]["RateLimit"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    "Content-Disposition": components["headers"]["Content-Disposition"];
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
            /** The latest used first */
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
                /** The session's id */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** No Content */
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
            /** OK */
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
            /** A new personal access token */
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
                /** The id of a personal access token */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** No Content */
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
            /** Healthy */
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
            /** Healthy */
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
    "title": {
        "type": "string",
        "required": true,
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
} as const
