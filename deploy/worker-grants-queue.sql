-- What workers need on top of deploy/worker-grants.sql where the queue is a table of the database (BEC_QUEUE=pg, or no
-- BEC_REGION): to send, receive and delete messages. Run it as the owner of the tables, after the other one.

GRANT SELECT,
      INSERT (queue, body, visible_at),
      UPDATE (visible_at, receipt, receive_count, dead_at, dead_reason),
      DELETE
    ON queue_messages TO bec_worker;
