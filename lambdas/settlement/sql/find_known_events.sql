-- Say which of a page of Stripe's events need nothing more: the session is settled, or the event is
-- recorded with another outcome (anomaly, awaiting_payment, duplicate). Reads only.
--
-- The events are a JSON array. Returns one row, (known, how many, page): the places in the array of
-- what is known, with commas.
SELECT COALESCE(GROUP_CONCAT(p_place), ''), COUNT(*), %(page)s
  FROM JSON_TABLE(%(events)s, '$[*]' COLUMNS (
         p_place INT PATH '$.place',
         p_event_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$.event_id',
         p_session_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$.session_id'
       )) AS p
  LEFT JOIN settlements AS s ON s.session_id = p_session_id
  LEFT JOIN stripe_events AS e ON e.event_id = p_event_id
 WHERE s.session_id IS NOT NULL OR e.outcome <> 'settled'
