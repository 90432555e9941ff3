module buildkitd-autoscaler/tests/e2e/tools/grafana

go 1.26.6

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
