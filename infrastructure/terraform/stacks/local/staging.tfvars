environment          = "staging"
api_replicas         = 2
web_replicas         = 2
log_level            = "info"
database_connections = 20
