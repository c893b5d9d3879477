package secret_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers as AWS Secrets Manager and SSM do: JSON 1.1, the operation in
// X-Amz-Target.
type service struct {
	*httptest.Server
	client *http.Client

	mu      sync.Mutex
	secrets map[string]any // by id or parameter name: a string, []byte or failure
	calls   []string       // REGION OPERATION NAME
	hold    chan struct{}  // if set, answers wait for it to be closed
}

// failure is an error answer.
type failure struct {
	status int
	code   string
}

func start(t *testing.T) *service {
	t.Helper()
	s := &service{secrets: map[string]any{}}
	s.Server = httptest.NewServer(s)
	transport := &http.Transport{}
	s.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// set makes value what is stored; nil takes it away.
func (s *service) set(name string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[name] = value
}

func (s *service) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

func (s *service) resolver(t *testing.T) *secret.Resolver { return s.resolverTo(t.Output()) }

// resolverTo returns a resolver that logs all it can to w.
func (s *service) resolverTo(w io.Writer) *secret.Resolver {
	return secret.NewResolver(aws.Config{
		Region:       "eu-west-1",
		BaseEndpoint: &s.URL,
		HTTPClient:   s.client,
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
		// What would show the secrets, were it not taken away.
		ClientLogMode: aws.LogRequestWithBody | aws.LogResponseWithBody | aws.LogSigning | aws.LogRetries,
		Logger:        logging.NewStandardLogger(w),
	}, slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		SecretID, Name string
		WithDecryption bool
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	// Credential=AKID/DATE/REGION/SERVICE/aws4_request
	scope := strings.Split(r.Header.Get("Authorization"), "/")
	s.mu.Lock()
	name, region := in.SecretID+in.Name, ""
	if len(scope) > 2 {
		region = scope[2]
	}
	s.calls = append(s.calls, region+" "+r.Header.Get("X-Amz-Target")+" "+name)
	value, hold := s.secrets[name], s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	refuse := func(status int, code string) {
		answer(status, map[string]string{"__type": code, "message": "told to"})
	}
	onSSM := r.Header.Get("X-Amz-Target") == "AmazonSSM.GetParameter"
	switch v := value.(type) {
	case failure:
		refuse(v.status, v.code)
	case nil:
		if onSSM {
			refuse(400, "ParameterNotFound")
		} else {
			refuse(400, "ResourceNotFoundException")
		}
	default:
		switch {
		case err != nil || r.Header.Get("Content-Type") != "application/x-amz-json-1.1":
			refuse(400, "SerializationException")
		case onSSM && !in.WithDecryption:
			answer(200, map[string]any{"Parameter": map[string]any{"Name": name, "Value": "AQICAHh"}})
		case onSSM:
			answer(200, map[string]any{"Parameter": map[string]any{"Name": name, "Type": "SecureString", "Value": v}})
		case r.Header.Get("X-Amz-Target") == "secretsmanager.GetSecretValue":
			if data, binary := v.([]byte); binary {
				answer(200, map[string]any{"Name": name, "SecretBinary": data})
				return
			}
			answer(200, map[string]any{"Name": name, "SecretString": v})
		default:
			refuse(400, "UnknownOperationException")
		}
	}
}
