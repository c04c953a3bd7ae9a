environment          = "prod"
api_replicas         = 3
web_replicas         = 3
log_level            = "info"
database_connections = 50
