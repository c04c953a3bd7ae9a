environment          = "dev"
api_replicas         = 1
web_replicas         = 1
log_level            = "debug"
database_connections = 10
