package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// planted is a part of every secret of every test, and must not be in any output.
const planted = "planted-secret"

// leaks returns the places of a text that contain a planted secret, as it is or in
// base64, or one of further words.
func leaks(text string, further ...string) []string {
	var found []string
	words := append([]string{planted}, further...)
	for shift := range 3 { // its offset in a group of three bytes
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + planted))
		// The ends depend on the neighbouring bytes.
		words = append(words, encoded[4:len(encoded)-4])
	}
	for _, word := range words {
		if at := strings.Index(text, word); at >= 0 {
			found = append(found, text[max(0, at-80):min(len(text), at+80)])
		}
	}
	return found
}

// TestLeaks checks that planted secrets are found, and nothing else.
func TestLeaks(t *testing.T) {
	t.Parallel()
	for shift := range 5 {
		user := strings.Repeat("u", shift)
		text := `{"body":"Authorization: Basic ` + base64.StdEncoding.EncodeToString([]byte(user+":"+planted+"-password")) + `"}`
		if len(leaks(text)) == 0 {
			t.Errorf("not found: %s", text)
		}
	}
	if len(leaks("token "+planted+"-1")) == 0 || len(leaks("a-key", "a-key")) == 0 || len(leaks("plant ed-secret cGxhbnQ=")) > 0 {
		t.Error("a text was misjudged")
	}
}

// echoReceiver is a receiver that repeats the headers and the query of requests in every
// part of its responses.
type echoReceiver struct {
	requests atomic.Int64
}

// marker is in the response bodies, to show that these were logged at all.
const marker = "echo of "

// responses are those of an echoReceiver, in turn.
var responses = []func(w http.ResponseWriter, all string){
	func(w http.ResponseWriter, all string) { http.Error(w, marker+all, http.StatusBadRequest) },
	func(w http.ResponseWriter, all string) {
		w.Header().Set("Location", "http://"+planted+":"+planted+"@localhost/?"+url.QueryEscape(all))
		http.Error(w, marker+all, http.StatusTemporaryRedirect)
	},
	func(w http.ResponseWriter, all string) {
		w.Header().Set("Retry-After", all)
		http.Error(w, marker+all, http.StatusInternalServerError)
	},
	func(w http.ResponseWriter, all string) {
		w.Header().Set("WWW-Authenticate", all)
		http.Error(w, marker+all, http.StatusUnauthorized)
	},
	func(w http.ResponseWriter, all string) {
		http.Error(w, strings.Repeat(all, 1+20_000/len(all)), http.StatusForbidden)
	},
	func(w http.ResponseWriter, all string) {
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", all)
		http.Error(w, marker+all, http.StatusConflict)
	},
	// Go's client quotes these in its errors.
	raw("%s\r\n\r\n"),
	raw("HTTP/1.1 %s\r\n\r\n"),
	raw("HTTP/1.1 200 OK\r\n%s\r\n\r\n"),
	raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n"),
	raw("HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n"),
	raw("HTTP/1.1 400 Bad\r\nX-Echo: %s\r\nConnection: %[1]s\r\n\r\n%[1]s"),
}

func raw(format string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, all string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, format, all)
	}
}

// ServeHTTP responds with all header values and the query, as received and decoded.
func (e *echoReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	var all []string
	for name, values := range r.Header {
		all = append(all, name+"="+strings.Join(values, ","))
	}
	if _, password, ok := r.BasicAuth(); ok {
		all = append(all, "password="+password)
	}
	all = append(all, "query="+r.URL.RawQuery)
	n := int(e.requests.Add(1)) - 1
	responses[n%len(responses)](w, strings.Join(all, "; "))
}

// TestSecrets has the function use secrets of every kind with a receiver that repeats
// what it receives. No secret may be in the log at level DEBUG, in the summary, or in the
// error that Lambda gets.
func TestSecrets(t *testing.T) {
	t.Parallel()
	server := ecrtest.Start(t, faultyRegistry(t))
	stores := startSecretStores(t)
	file := func(t *testing.T, name string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(planted+"-of-"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	certificate, key := keyPair(t)
	secretOfKey := strings.Split(key, "\n")[1]

	var running sync.WaitGroup
	for name, settings := range map[string]func(t *testing.T, at *url.URL) []string{
		"in the URL": func(_ *testing.T, at *url.URL) []string {
			at.User = url.UserPassword(planted+"-user", planted+"-password")
			at.RawQuery = "token=" + planted + "-in-query"
			return nil
		},
		"password and header": func(t *testing.T, _ *url.URL) []string {
			return []string{
				"REMOTE_WRITE_USERNAME=user", "REMOTE_WRITE_PASSWORD=" + planted + "-password",
				"REMOTE_WRITE_HEADERS=X-Api-Key=" + planted + "-key,X-Other=" + file(t, "header"),
			}
		},
		"token of a file": func(t *testing.T, _ *url.URL) []string {
			return []string{"REMOTE_WRITE_BEARER_TOKEN=" + file(t, "token")}
		},
		"from AWS": func(*testing.T, *url.URL) []string {
			return []string{
				"REMOTE_WRITE_USERNAME=user",
				"REMOTE_WRITE_PASSWORD=secretsmanager:arn:aws:secretsmanager:eu-west-1:" + account + ":secret:store-AbCdEf#password",
				"REMOTE_WRITE_HEADERS=X-Api-Key=ssm:/store/key",
			}
		},
		"refused by AWS": func(*testing.T, *url.URL) []string {
			return []string{"REMOTE_WRITE_BEARER_TOKEN=ssm:/store/missing"}
		},
		"signature": func(*testing.T, *url.URL) []string { return []string{"REMOTE_WRITE_AUTH=sigv4"} },
		"client certificate": func(*testing.T, *url.URL) []string {
			return []string{"REMOTE_WRITE_CLIENT_CERTIFICATE=" + certificate, "REMOTE_WRITE_CLIENT_KEY=" + key, "https"}
		},
		"damaged client key": func(*testing.T, *url.URL) []string {
			return []string{"REMOTE_WRITE_CLIENT_CERTIFICATE=" + certificate, "REMOTE_WRITE_CLIENT_KEY=" + strings.Replace(key, secretOfKey, planted, 1), "https"}
		},
		"misplaced": func(*testing.T, *url.URL) []string { // faults of the configuration
			return []string{
				"REMOTE_WRITE_BEARER_TOKEN=" + planted + " with a blank", "REMOTE_WRITE_HEADERS=Authorization=" + planted,
				"REMOTE_WRITE_PASSWORD=" + planted,
			}
		},
	} {
		// All at the same time, because they mostly wait.
		running.Go(func() {
			t.Run(name, func(t *testing.T) {
				to := &echoReceiver{}
				receiver := httptest.NewUnstartedServer(to)
				receiver.Config.ErrorLog = log.New(io.Discard, "", 0)
				at := &url.URL{Scheme: "http", Host: receiver.Listener.Addr().String(), Path: "/api/v1/write"}
				env := settings(t, at)
				if env != nil && env[len(env)-1] == "https" {
					receiver.StartTLS()
					at.Scheme = "https"
					env[len(env)-1] = "REMOTE_WRITE_CA=" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw}))
				} else {
					receiver.Start()
				}
				defer receiver.Close()
				f := startFunction(t, server, at.String(), append([]string{
					scansFromSummary, "REMOTE_WRITE_MAX_SERIES=10", "REMOTE_WRITE_TIMEOUT=500ms", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
					"AWS_ENDPOINT_URL_SSM=" + stores, "AWS_ENDPOINT_URL_SECRETS_MANAGER=" + stores,
				}, env...)...)
				f.secrets = []string{secretOfKey}
				for range 2 {
					result, err := f.Invoke(t.Context(), []byte(`{}`), faultyInvocation)
					if err != nil {
						t.Fatal(err)
					}
					if result.FunctionError == nil {
						t.Errorf("the invocation did not fail: %s", result.Payload)
					}
					for _, text := range leaks(string(result.Payload), secretOfKey) {
						t.Errorf("a secret is in the error: …%s…", text)
					}
				}
				f.stop(t) // which checks the log
				logged := f.log.String()
				n := int(to.requests.Load())
				withoutRequest := name == "refused by AWS" || name == "damaged client key" || name == "misplaced"
				if withoutRequest && n > 0 || !withoutRequest && (n < len(responses) || !strings.Contains(logged, marker)) {
					t.Errorf("%d requests; is a response in the log: %v", n, strings.Contains(logged, marker))
				}
			})
		})
	}
	running.Wait()
}

// TestSecretInLogIsFound is the control of the check of every function's log: the response
// of this receiver has a planted secret that the function cannot know, and logs.
func TestSecretInLogIsFound(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no series of "+planted+"-tenant", http.StatusBadRequest)
	}))
	defer receiver.Close()
	f := startFunction(t, ecrtest.Start(t, faultyRegistry(t)), receiver.URL, scansFromSummary)
	f.checked.Do(func() {}) // so that stop does not check it
	if _, failure := f.try(t, "schedule-rule.json", invocationTimeout); failure == nil {
		t.Error("the invocation did not fail")
	}
	f.stop(t)
	if found := leaks(f.log.String()); len(found) != 1 {
		t.Errorf("found %q, want the one secret", found)
	}
}

// startSecretStores starts Secrets Manager and Parameter Store with one secret each.
// To other requests they respond as AWS does to a wrong signature: with the headers.
func startSecretStores(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		var request struct{ Name string }
		_ = json.NewDecoder(r.Body).Decode(&request)
		switch {
		case strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetSecretValue"):
			fmt.Fprintf(w, `{"SecretString":"{\"password\":\"%s-from-secrets-manager\"}"}`, planted)
		case request.Name == "/store/key":
			fmt.Fprintf(w, `{"Parameter":{"Name":"/store/key","Type":"SecureString","Value":"%s-from-parameter-store"}}`, planted)
		default:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"__type":"InvalidSignatureException","message":"The Canonical String for this request should have been 'POST / host:x x-amz-security-token:%s'"}`,
				r.Header.Get("X-Amz-Security-Token"))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// keyPair returns a new self-signed certificate and its key, as PEM.
func keyPair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "exporter"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}
