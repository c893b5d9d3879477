package e2e

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/lambdatest"
)

// organisationShape is how large an organisation is, and how its stack is set up.
type organisationShape struct {
	accounts, regions int
	// largest is the number of images of one registry, and median that of the others.
	largest, median int
	// denied registries cannot be read; those without a role are not reached.
	denied, roleless int
	// concurrency is the mapping's maximum concurrency.
	concurrency int
	// interval is how often a registry is pushed.
	interval time.Duration
	// timeout is the function's, and visibility that of the queue.
	timeout, visibility time.Duration
	maxSeries           int // of a request
}

// refreshedEach is how long what was read is fresh.
const refreshedEach = time.Second

// organisationRegions are Regions that are enabled everywhere.
var organisationRegions = []string{region, "us-east-1", "eu-central-1", "us-west-2"}

// organisation is an organisation with its stack: the queue, the planner and the environments
// of the mapping.
type organisation struct {
	*ecrtest.Organisation
	shape      organisationShape
	members    []*member
	mini       *ministack
	queue      *queue
	prometheus *tsdbtest.Prometheus
	arrivals   *arrivals
	mapping    *mapping
	planner    *lambdatest.Environment
	env        []string
	began      time.Time
	rng        *rand.Rand

	mu   sync.Mutex
	keys map[string]int // the number of an environment by its key
	logs []*logLines
}

// member is one registry of an organisation.
type member struct {
	registry *ecrtest.Registry
	server   *ecrtest.Server
	// findings is set if scans are read one by one; then the registry does not change.
	findings                   bool
	denied, roleless, vanishes bool
	want                       tsdbtest.Vector // of one that has vanished
}

func (m *member) String() string { return m.registry.ID() + "/" + m.registry.Region() }

const (
	organisationRole = "ecr-remote-write"
	leavingRole      = "leaving"
	someExternalID   = "some-id"
)

// newOrganisation makes the registries and starts the stack.
func newOrganisation(t *testing.T, shape organisationShape) *organisation {
	t.Helper()
	w := &organisation{
		shape: shape, mini: startMiniStack(t), began: time.Now(), keys: make(map[string]int),
		rng: rand.New(rand.NewPCG(seed, 16)),
	}
	regions := organisationRegions[:shape.regions]
	w.Organisation = ecrtest.NewOrganisation(account, regions...)
	document := w.generate(t, regions)
	ecrtest.StartOrganisation(t, w.Organisation)

	const bucket = "organisation"
	w.mini.put(t, bucket, "", "")
	w.mini.put(t, bucket, "targets.yaml", document)
	w.queue = w.mini.queue(t, "targets", shape.visibility, 3)
	w.prometheus = tsdbtest.Start(t, tsdbtest.Options{})
	w.arrivals = startArrivals(t, w.prometheus)
	w.env = []string{
		"AWS_ENDPOINT_URL=" + w.URL(), "AWS_ENDPOINT_URL_S3=" + w.mini.url, "AWS_ENDPOINT_URL_SQS=" + w.mini.url,
		"TARGETS=s3://" + bucket + "/targets.yaml", "QUEUE_URL=" + w.queue.url, "STATE_URL=s3://" + bucket + "/stack/inventory",
		fmt.Sprintf("TARGET_CONCURRENCY=%d", shape.concurrency),
		"REMOTE_WRITE_URL=" + w.arrivals.url, fmt.Sprintf("REMOTE_WRITE_MAX_SERIES=%d", shape.maxSeries),
		"CACHE_REFRESH_INTERVAL=" + refreshedEach.String(), "ECR_REQUESTS_PER_SECOND=10000", "SCAN_REQUESTS_PER_SECOND=10000", "CLOUDWATCH_METRICS=false",
	}
	var err error
	if w.planner, err = w.start(t.Context(), plannersNumber); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.planner.Close() })
	w.mapping = &mapping{queue: w.queue, timeout: shape.timeout, start: w.start}
	t.Cleanup(func() {
		if t.Failed() {
			w.showLogs(t)
		}
	})
	return w
}

// start starts an environment with a key of its own.
func (w *organisation) start(ctx context.Context, n int) (*lambdatest.Environment, error) {
	path, err := buildOnce()
	if err != nil {
		return nil, err
	}
	key, log := w.NewKey(), newLogLines()
	w.mu.Lock()
	w.keys[key.AccessKeyID] = n
	w.logs = append(w.logs, log)
	w.mu.Unlock()
	return lambdatest.Start(ctx, lambdatest.Function{
		Path: path, Region: region, AccountID: account, MemoryMB: 512, Output: log,
		Env: append(slices.Clip(w.env),
			"AWS_ACCESS_KEY_ID="+key.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+key.SecretAccessKey, "AWS_SESSION_TOKEN="+key.SessionToken,
			fmt.Sprintf("REMOTE_WRITE_HEADERS=%s=%d", environmentHeader, n)),
	})
}

// showLogs shows warnings and errors.
func (w *organisation) showLogs(t *testing.T) {
	t.Helper()
	const most = 40
	shown := 0
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, log := range w.logs {
		for line := range strings.Lines(log.String()) {
			if (strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`)) && shown < most {
				t.Log(line[:min(len(line), 1000)])
				shown++
			}
		}
	}
}

// generate makes the accounts, their roles and registries, and returns the document of targets.
func (w *organisation) generate(t *testing.T, regions []string) string {
	t.Helper()
	shape := w.shape
	var document strings.Builder
	fmt.Fprintf(&document, "defaults:\n  external_id: %s\n  interval: %s\n  labels: {org: example}\n  settings: {SCAN_SOURCE: summary}\ntargets:\n", someExternalID, shape.interval)
	denied, roleless := shape.denied, shape.roleless
	for a := range shape.accounts {
		id := account
		if a > 0 {
			id = fmt.Sprintf("%012d", 210_000_000_000+a)
			w.AddAccount(id, regions...)
			w.PutRole(id, ecrtest.Role{Name: organisationRole, ExternalID: someExternalID})
		}
		listed := slices.Clone(regions)
		// The first account is the function's own and the second has the largest registry; the
		// third reads scans one by one. The last ones have one registry each that fails.
		findings := a == 2
		for r, name := range regions {
			images := min(1+int(float64(shape.median)*math.Exp(w.rng.NormFloat64()*0.6)), shape.largest)
			if a == 1 && r == 0 {
				images = shape.largest
			}
			m := &member{registry: ecrtest.NewRegistry(id, name), findings: findings}
			plain := ecrtest.RealisticShape(1+images/20, images, generatedAt)
			if !findings {
				plain.Scans = 0.4
			}
			if err := m.registry.Generate(uint64(seed+a*10+r), plain); err != nil {
				t.Fatal(err)
			}
			m.server = w.AddRegistry(m.registry)
			w.members = append(w.members, m)
			if a < 3 || r != a%len(regions) {
				continue
			}
			special := func(role string) {
				listed = slices.DeleteFunc(listed, func(n string) bool { return n == name })
				fmt.Fprintf(&document, "  - {account: %q, regions: [%s], role: %s}\n", id, name, role)
			}
			switch {
			case denied > 0:
				denied--
				m.denied = true
				policy, err := ecrtest.ParsePolicy([]byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"ecr:*","Resource":"*"}]}`))
				if err != nil {
					t.Fatal(err)
				}
				m.server.SetPolicy(policy)
			case roleless > 0:
				roleless--
				m.roleless = true
				special("missing")
			case !slices.ContainsFunc(w.members, func(m *member) bool { return m.vanishes }):
				m.vanishes = true
				special(leavingRole)
				w.PutRole(id, ecrtest.Role{Name: leavingRole, ExternalID: someExternalID})
			}
		}
		text := `"*"`
		if len(listed) < len(regions) {
			text = strings.Join(listed, ", ")
		}
		settings := ""
		if findings {
			settings = ", settings: {SCAN_SOURCE: findings}"
		}
		fmt.Fprintf(&document, "  - {account: %q, name: account-%d, regions: [%s], labels: {env: env-%d}%s}\n", id, a, text, a%3, settings)
	}
	return document.String()
}

// series are those that a registry must have.
func (w *organisation) series(m *member) tsdbtest.Vector {
	if m.want != nil {
		return m.want
	}
	scans := contracttest.ScanSummary
	if m.findings {
		scans = contracttest.ScansAt(m.registry, time.Now())
	}
	more := [][2]string{{"org", "example"}, {"region", m.registry.Region()}}
	if !m.vanishes && !m.roleless { // whose own entries have no label of their own
		var n int
		if m.registry.ID() != account {
			fmt.Sscanf(m.registry.ID(), "210%d", &n)
		}
		more = append(more, [2]string{"env", fmt.Sprintf("env-%d", n%3)})
	}
	want := tsdbtest.Vector{}
	add := func(s contracttest.Series) {
		s.Labels = append(slices.Clone(s.Labels), more...)
		slices.SortFunc(s.Labels, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
		want[s.Key()] = s.Value
	}
	add(contracttest.Series{Family: stateAvailable, Labels: [][2]string{{"registry_id", m.registry.ID()}}, Value: 1})
	if m.denied || m.roleless {
		return want
	}
	for s := range contracttest.Of(m.registry, scans) {
		if s.Family != contracttest.Up { // the planner's
			add(s)
		}
	}
	return want
}
