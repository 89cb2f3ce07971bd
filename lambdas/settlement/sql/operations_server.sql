-- What the server is: (version, TLS version or empty, binlog_format or OFF, read-only or not).
SELECT VERSION(),
       (SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS
         WHERE VARIABLE_NAME = 'SSL_VERSION'),
       IF(@@GLOBAL.log_bin, @@SESSION.binlog_format, 'OFF'),
       @@GLOBAL.read_only
