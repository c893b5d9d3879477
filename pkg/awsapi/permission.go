package awsapi

// Permission is an IAM action that a call needs. Each is declared beside its call and
// listed in the Permissions of its package. A test of package lambda compares them with
// template.yaml.
type Permission struct {
	Action string
	// Resource is an ARN with placeholders in capitals, such as REGION and ACCOUNT,
	// or "*" for an action without resource types (Service Authorization Reference).
	Resource string
}
