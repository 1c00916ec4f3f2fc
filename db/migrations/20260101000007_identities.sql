-- migrate:up

-- Who the users of an outside issuer are here. No foreign key: the row outlives the user, so that
-- whoever is deleted stays deleted and does not come back as somebody new.
create table identities (
  issuer text not null,
  subject text not null,
  user_id bigint not null,
  constraint identities_pkey primary key (issuer, subject),
  constraint identities_user_id_key unique (user_id),
  constraint identities_subject_length check (char_length(subject) between 1 and 255)
);

-- migrate:down

drop table identities;
