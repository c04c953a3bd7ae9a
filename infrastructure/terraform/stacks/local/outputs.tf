output "environment" {
  description = "The environment that the stack is of."
  value       = var.environment
}

output "release" {
  description = "The version of the services that is deployed."
  value       = terraform_data.service["api"].output.version
}

output "replicas" {
  description = "How many instances of each service there are."
  value       = { for name, service in terraform_data.service : name => service.output.replicas }
}
