package tsdbtest

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// QueryURL is the endpoint of instant queries, beside that of remote writes: Prometheus's own
// API, which knows nothing but the time now.
func (p *Prometheus) QueryURL() string { return strings.TrimSuffix(p.URL(), p.path) + p.queryPath() }

func (p *Prometheus) queryPath() string {
	before, _, _ := strings.Cut(p.path, "/api/v1/")
	return before + "/api/v1/query"
}

// api handles queries as the command prometheus does; what else its API has is missing.
func (p *Prometheus) api() http.Handler {
	ready := func(next http.HandlerFunc) http.HandlerFunc { return next }
	api := v1.NewAPI(p.engine, p.db, nil, nil, nil, nil, nil, nil, nil, nil, v1.GlobalURLOptions{}, ready, nil, "", false, false, 0, p.logger, nil, 0, 0, 0, false, nil, nil, nil,
		nil, nil, nil, prometheus.NewRegistry(), nil, false, nil, false, false, false, false, time.Duration(0), false, false, nil, nil, v1.OpenAPIOptions{}, p.parser)
	router := route.New().WithPrefix("/api/v1")
	api.Register(router)
	before, _, _ := strings.Cut(p.path, "/api/v1/")
	return http.StripPrefix(before, router)
}
