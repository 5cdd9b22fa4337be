-- The example pipeline grows: the rows of version 2 join those of version 1, which
-- stays what it was:  SELECT etl.run('nightly', version => 1);

SELECT etl.update_metadata('nightly', jsonb_agg(m)) FROM pipeline_metadata m WHERE version = 2;
