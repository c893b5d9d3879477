package ecrtest

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Organisation is the AWS of several accounts and Regions behind one address: a [Server] for
// each account and Region. The account of a request is that of the access key which signed
// it, and the Region that of its signature. The keys of the function are those of
// [Organisation.NewKey]; a role's are issued by AssumeRole. Any other key is refused.
//
// Modelled, and not tried against AWS: what the sessions of a deleted role get.
type Organisation struct {
	home string
	link link

	mu       sync.Mutex
	accounts map[string]*account
	servers  map[place]*Server
	sessions map[string]*session // by access key
}

// place is an account in a Region.
type place struct{ account, region string }

// account is one AWS account.
type account struct {
	regions []string // the enabled ones
	roles   map[string]*role
}

// Role is a role that the function may assume.
type Role struct {
	// Name is the role's, with its path if it has one: "path/name".
	Name string
	// ExternalID is the one that its trust policy demands; empty for none.
	ExternalID string
}

type role struct {
	Role
	id string // unique: a role of the same name that is made later is another
}

// session is who has an access key.
type session struct {
	account, arn, userID string
	key                  Key
	// role is the one assumed, and by the function's key from; nil for the function itself.
	role    *role
	from    string
	expires time.Time // zero for never
}

// Key are credentials of a session, all of which a request must have.
type Key struct{ AccessKeyID, SecretAccessKey, SessionToken string }

// FunctionRole is the name of the function's own role.
const FunctionRole = "ecr-remote-write"

// NewOrganisation returns the organisation of the function's own account, with the Regions
// that are enabled there.
func NewOrganisation(home string, regions ...string) *Organisation {
	o := &Organisation{
		home:     home,
		accounts: make(map[string]*account), servers: make(map[place]*Server), sessions: make(map[string]*session),
	}
	o.AddAccount(home, regions...)
	return o
}

// AddAccount adds an account with the Regions that are enabled there, or sets these anew.
func (o *Organisation) AddAccount(id string, regions ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.accounts[id] == nil {
		o.accounts[id] = &account{roles: make(map[string]*role)}
	}
	o.accounts[id].regions = slices.Sorted(slices.Values(regions))
}

// AddRegistry adds a registry and returns its server, whose faults, latency and policy are
// those of this account in this Region. The account gets the Region if it does not have it.
func (o *Organisation) AddRegistry(registry *Registry) *Server {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.accounts[registry.id]
	if a == nil {
		a = &account{roles: make(map[string]*role)}
		o.accounts[registry.id] = a
	}
	if i, found := slices.BinarySearch(a.regions, registry.region); !found {
		a.regions = slices.Insert(slices.Clone(a.regions), i, registry.region)
	}
	return o.add(registry)
}

// add makes the server of a registry. The caller holds the lock.
func (o *Organisation) add(registry *Registry) *Server {
	s := New(registry)
	s.organisation = o
	o.servers[place{registry.id, registry.region}] = s
	return s
}

// Server returns the server of an account in a Region, which has an empty registry if none
// was added.
func (o *Organisation) Server(account, region string) *Server {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.servers[place{account, region}]; s != nil {
		return s
	}
	return o.add(NewRegistry(account, region))
}

// PutRole makes a role, or one in place of that of the same name.
func (o *Organisation) PutRole(account string, r Role) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.accounts[account].roles[r.Name] = &role{Role: r, id: "AROA" + rand.Text()[:16]}
}

// DeleteRole deletes a role: nobody can assume it, and its sessions end.
func (o *Organisation) DeleteRole(account, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.accounts[account].roles, name)
}

// CloseAccount deletes the roles of an account.
func (o *Organisation) CloseAccount(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.accounts[id].roles)
}

// NewKey returns credentials of the function's own role, as each execution environment has
// some of its own.
func (o *Organisation) NewKey() Key {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.issue(&session{
		account: o.home, arn: stsARN(o.home, FunctionRole, FunctionRole), userID: "AROAFUNCTION:" + FunctionRole,
	})
}

// issue makes the key of a session. The caller holds the lock.
func (o *Organisation) issue(s *session) Key {
	s.key = Key{AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: rand.Text(), SessionToken: rand.Text()}
	o.sessions[s.key.AccessKeyID] = s
	return s.key
}

// FunctionKey returns the function's key that a role was assumed with to get an access key. It
// is the key itself if that is the function's, and empty if it is none of the organisation.
func (o *Organisation) FunctionKey(accessKey string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch s := o.sessions[accessKey]; {
	case s == nil:
		return ""
	case s.role == nil:
		return accessKey
	default:
		return s.from
	}
}

// stsARN is the ARN of a session of a role.
func stsARN(account, role, session string) string {
	return "arn:aws:sts::" + account + ":assumed-role/" + role[strings.LastIndexByte(role, '/')+1:] + "/" + session
}

// authenticate returns the session of a key.
func (o *Organisation) authenticate(from credential, token string) (*session, *apiError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sessions[from.accessKey]
	switch {
	case s == nil || token != s.key.SessionToken:
		return nil, unrecognized()
	case s.role != nil && o.accounts[s.account].roles[s.role.Name] != s.role: // it was deleted
		return nil, unrecognized()
	case !slices.Contains(o.accounts[s.account].regions, from.region):
		return nil, unrecognized()
	case !s.expires.IsZero() && !time.Now().Before(s.expires):
		return nil, newError("ExpiredTokenException", "The security token included in the request is expired")
	}
	return s, nil
}

// ServeHTTP handles one request: the server of its account and Region does. What is signed
// with no known key is the function's account's to refuse.
func (o *Organisation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !o.link.enter() {
		breakConnection(w)
		return
	}
	defer o.link.leave()
	from := readCredential(r)
	o.mu.Lock()
	at := place{o.home, from.region}
	if s := o.sessions[from.accessKey]; s != nil {
		at.account = s.account
	}
	o.mu.Unlock()
	o.Server(at.account, at.region).ServeHTTP(w, r)
}

// Requests returns the last requests of all servers, at most 10,000 of each, in the order
// of arrival.
func (o *Organisation) Requests() []Request {
	var all []Request
	for _, s := range o.all() {
		all = append(all, s.Requests()...)
	}
	slices.SortStableFunc(all, func(a, b Request) int { return a.At.Compare(b.At) })
	return all
}

// Calls returns the number of requests of all servers by operation.
func (o *Organisation) Calls() map[string]int {
	calls := make(map[string]int)
	for _, s := range o.all() {
		for operation, n := range s.Calls() {
			calls[operation] += n
		}
	}
	return calls
}

func (o *Organisation) all() []*Server {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]*Server, 0, len(o.servers))
	for _, s := range o.servers {
		all = append(all, s)
	}
	return all
}

// StartOrganisation serves an organisation on a free port of 127.0.0.1 until the test ends.
func StartOrganisation(tb testing.TB, o *Organisation) {
	tb.Helper()
	if err := o.link.listen(o, 0); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(o.Close)
}

// StartOrganisationPipe serves an organisation in memory until the test ends, see [StartPipe].
func StartOrganisationPipe(tb testing.TB, o *Organisation) {
	tb.Helper()
	if err := o.link.listenPipe(o); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(o.Close)
}

// URL is the endpoint for clients of all services; empty before it is served.
func (o *Organisation) URL() string { return o.link.address() }

// Client returns an HTTP client that reaches the organisation, see [Server.Client].
func (o *Organisation) Client() *http.Client { return o.link.dialler() }

// Close stops serving, see [Server.Close].
func (o *Organisation) Close() { o.link.close() }
