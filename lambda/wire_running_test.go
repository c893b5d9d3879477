package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// The query for what runs is authenticated like remote write, headers included.
func TestRunningAuthentication(t *testing.T) {
	t.Parallel()
	signature := remotewritetest.SigV4{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "planted-secret-key", SessionToken: "planted-token", Region: "eu-central-1", Service: "aps"}
	for name, c := range map[string]struct {
		settings []string
		check    func(*http.Request, []byte) error
	}{
		"signature": {[]string{"REMOTE_WRITE_AUTH=sigv4", "REMOTE_WRITE_REGION=eu-central-1"}, signature.Verify},
		"basic": {[]string{"REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_PASSWORD=hunter2"}, func(r *http.Request, _ []byte) error {
			if name, password, _ := r.BasicAuth(); name != "me" || password != "hunter2" {
				t.Errorf("basic: %q and %q", name, password)
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err == nil {
					err = c.check(r, body)
				}
				if err != nil || r.Header.Get("X-Scope-Orgid") != "team" {
					t.Errorf("%v; headers %v", err, r.Header)
				}
				_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"image":"h/a:v1"},"value":[1,"1"]}]}}`)
			}))
			defer server.Close()
			loaded, err := config.Load(append(c.settings, "REMOTE_WRITE_URL="+server.URL, "QUERY_URL="+server.URL+"/api/v1/query?a=b%20c", "IDLE_IMAGES=never", "REMOTE_WRITE_HEADERS=X-Scope-OrgID=team"), config.ToSend)
			if err != nil {
				t.Fatal(err)
			}
			awsCfg := aws.Config{Region: "eu-west-1", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: signature.AccessKeyID, SecretAccessKey: signature.SecretAccessKey, SessionToken: signature.SessionToken}, nil
			})}
			log := slog.New(slog.DiscardHandler)
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client, err := newRunning(loaded, awsCfg, secret.NewResolver(awsCfg, log), wiring{log: log, transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			var images []string
			err = client.Images(t.Context(), func(image string) bool { images = append(images, image); return true })
			if err != nil || len(images) != 1 {
				t.Errorf("%v, error %v", images, err)
			}
		})
	}
}
