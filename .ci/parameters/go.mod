module github.com/aws-exporters/ecr-remote-write/.ci/parameters

go 1.26.0

require (
	github.com/BurntSushi/toml v1.6.0
	github.com/creack/pty v1.1.24
	github.com/google/go-cmp v0.7.0
	gopkg.in/yaml.v3 v3.0.1
)
