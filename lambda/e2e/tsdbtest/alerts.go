package tsdbtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

// Alerts evaluates the alerting rules of one file as the rule manager of Prometheus does,
// but only on request. Unlike the manager it stores no ALERTS series, so the database
// contains only what was sent to it.
type Alerts struct {
	prometheus *Prometheus
	rules      []*rules.AlertingRule
}

// Alert is one active alert of a rule.
type Alert struct {
	// Labels include alertname.
	Labels map[string]string
	// Annotations have their templates filled in.
	Annotations map[string]string
	// Firing is false while the alert is pending, that is until its expression has held
	// for the rule's `for`.
	Firing bool
	// Value is that of the expression when it was evaluated last.
	Value float64
	// ActiveAt is the time of the first evaluation at which the expression held.
	ActiveAt time.Time
}

// LoadAlerts reads a rule file in Prometheus' YAML form, with all checks of Prometheus.
// Recording rules are refused, because nothing would store their results.
func (p *Prometheus) LoadAlerts(path string) (*Alerts, error) {
	manager := rules.NewManager(&rules.ManagerOptions{Logger: p.logger, Parser: p.parser})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, path)
	if len(errs) > 0 {
		return nil, fmt.Errorf("load rules from %s: %w", path, errors.Join(errs...))
	}

	a := &Alerts{prometheus: p}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		for _, rule := range groups[key].Rules() {
			alerting, ok := rule.(*rules.AlertingRule)
			if !ok {
				return nil, fmt.Errorf("load rules from %s: %s is not an alerting rule", path, rule.Name())
			}
			a.rules = append(a.rules, alerting)
		}
	}
	return a, nil
}

// Eval evaluates every rule once, at the given time, and returns the alerts that
// are then active, pending or firing, in the order of their labels. A rule remembers since
// when its expression holds, so call Eval with increasing times, at the interval of the
// rule group. A rule that fails keeps its alerts, and the others are still evaluated.
func (a *Alerts) Eval(ctx context.Context, at time.Time) ([]Alert, error) {
	var active []*rules.Alert
	var errs []error
	for _, rule := range a.rules {
		if _, err := rule.Eval(ctx, 0, at, a.prometheus.instant, &url.URL{}, 0); err != nil {
			errs = append(errs, fmt.Errorf("evaluate alert %s at %s: %w", rule.Name(), at, err))
		}
		active = append(active, rule.ActiveAlerts()...)
	}
	slices.SortFunc(active, func(x, y *rules.Alert) int {
		return cmp.Or(cmp.Compare(x.Labels.Get(labels.AlertName), y.Labels.Get(labels.AlertName)),
			labels.Compare(x.Labels, y.Labels))
	})

	alerts := make([]Alert, len(active))
	for i, alert := range active {
		alerts[i] = Alert{
			Labels:      alert.Labels.Map(),
			Annotations: alert.Annotations.Map(),
			Firing:      alert.State == rules.StateFiring,
			Value:       alert.Value,
			ActiveAt:    alert.ActiveAt,
		}
	}
	return alerts, errors.Join(errs...)
}
