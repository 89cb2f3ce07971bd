-- What is known of Stripe's events, by their ids and those of their sessions: `settled` where the
-- session is, else the outcome of the event. One that nothing is known of is not returned.
SELECT p_event_id AS event_id,
       IF(s.session_id IS NULL, e.outcome, 'settled') AS outcome
  FROM JSON_TABLE(%(events)s, '$[*]' COLUMNS (
         p_event_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$.event_id',
         p_session_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin PATH '$.session_id'
       )) AS p
  LEFT JOIN settlements AS s ON s.session_id = p_session_id
  LEFT JOIN stripe_events AS e ON e.event_id = p_event_id
 WHERE s.session_id IS NOT NULL OR e.outcome <> 'settled'
