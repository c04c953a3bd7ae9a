variable "environment" {
  description = "The environment that the stack is of."
  type        = string

  validation {
    condition     = contains(["local", "dev", "staging", "prod"], var.environment)
    error_message = "The environment is local, dev, staging or prod."
  }
}

variable "release" {
  description = "The version of the services that is deployed; none before the first deployment."
  type        = string
  default     = "none"
}

variable "api_replicas" {
  description = "How many instances of the API there are."
  type        = number

  validation {
    condition     = var.api_replicas >= 1 && var.api_replicas <= 20
    error_message = "There are 1 to 20 instances of the API."
  }
}

variable "web_replicas" {
  description = "How many instances of the web front there are."
  type        = number

  validation {
    condition     = var.web_replicas >= 1 && var.web_replicas <= 20
    error_message = "There are 1 to 20 instances of the web front."
  }
}

variable "log_level" {
  description = "What the services log."
  type        = string

  validation {
    condition     = contains(["debug", "info", "warn", "error"], var.log_level)
    error_message = "The level is debug, info, warn or error."
  }
}

variable "database" {
  description = "The name of the database."
  type        = string
  default     = "stack"
}

variable "database_connections" {
  description = "How many connections the services may have to it."
  type        = number
}
