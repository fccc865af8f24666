-- Statements about API keys and the audit log. Times cross as integer microseconds, as in queries.sql.

-- name: live_keys
select key_id, name, digest, role, scopes,
  (extract(epoch from created_time) * 1000000)::bigint, created_by,
  (extract(epoch from expires_time) * 1000000)::bigint,
  (extract(epoch from revoked_time) * 1000000)::bigint,
  (extract(epoch from last_used_time) * 1000000)::bigint
from api_keys
where coalesce(least(revoked_time, expires_time), 'infinity') > now() - interval '30 days'

-- name: all_keys
select key_id, name, digest, role, scopes,
  (extract(epoch from created_time) * 1000000)::bigint, created_by,
  (extract(epoch from expires_time) * 1000000)::bigint,
  (extract(epoch from revoked_time) * 1000000)::bigint,
  (extract(epoch from last_used_time) * 1000000)::bigint
from api_keys
order by created_time, key_id

-- name: note_key_uses
update api_keys set last_used_time = used.time
from (
  select key_id, 'epoch'::timestamptz + used_us * interval '1 microsecond' as time
  from unnest(%(key_ids)s::text[], %(used_us)s::bigint[]) as given (key_id, used_us)
) as used
where api_keys.key_id = used.key_id and (last_used_time is null or last_used_time < used.time)
returning api_keys.key_id

-- name: add_key
insert into api_keys (key_id, name, digest, role, scopes, created_time, created_by, expires_time)
values (
  %(key_id)s, %(name)s, %(digest)s, %(role)s, %(scopes)s,
  'epoch'::timestamptz + %(created_us)s * interval '1 microsecond', %(created_by)s,
  'epoch'::timestamptz + %(expires_us)s * interval '1 microsecond'
)
returning key_id

-- name: end_key
update api_keys
set expires_time = least(expires_time, 'epoch'::timestamptz + %(ends_us)s * interval '1 microsecond')
where key_id = %(key_id)s and revoked_time is null
  and (expires_time is null or expires_time > 'epoch'::timestamptz + %(now_us)s * interval '1 microsecond')
returning key_id

-- name: revoke_key
update api_keys set revoked_time = 'epoch'::timestamptz + %(now_us)s * interval '1 microsecond'
where key_id = %(key_id)s and revoked_time is null
returning key_id

-- name: append_audit
insert into audit_log (entry_id, time, who, action, target, outcome, address, request_id, detail)
select (e->>'entry_id')::uuid, 'epoch'::timestamptz + (e->>'time_us')::bigint * interval '1 microsecond',
  e->>'who', e->>'action', e->>'target', e->>'outcome', e->>'address', e->>'request_id', e->'detail'
from jsonb_array_elements(%(entries)s::jsonb) as given (e)
on conflict (entry_id) do nothing
returning entry_id

-- name: audit_entries
select entry_id::text, (extract(epoch from time) * 1000000)::bigint, who, action, target, outcome, address, request_id,
  detail
from audit_log
where time >= 'epoch'::timestamptz + %(since_us)s * interval '1 microsecond'
  and (%(who)s::text is null or who = %(who)s)
  and (%(action)s::text is null or starts_with(action, %(action)s))
order by time desc, entry_id
limit %(limit)s
