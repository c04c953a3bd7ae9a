# The stack of one machine: what each service of an environment is to be. `terraform_data` is built into terraform, so that no
# provider is fetched; its state is the only place that knows what was applied.
terraform {
  required_version = ">= 1.4"

  # Each environment has a state of its own: the runbooks say where, by `backend: {path: …}`.
  backend "local" {}
}

locals {
  services = {
    api = { replicas = var.api_replicas, log_level = var.log_level, version = var.release }
    web = { replicas = var.web_replicas, log_level = var.log_level, version = var.release }
  }
}

resource "terraform_data" "service" {
  for_each = local.services
  input    = each.value
}

resource "terraform_data" "database" {
  input = { name = var.database, connections = var.database_connections }
}
