//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// registries are the ECR and Inspector of several accounts and Regions behind one address,
// which is the endpoint of the functions. A request is for the account that STS says its access
// key is of, in the Region that it is signed for.
type registries struct {
	url    string
	own    *localtest.Registry
	others []*ecrtest.Server
	rest   []*ecrtest.Registry
	server *http.Server
	ask    *sts.Client // set once there is an emulator

	mu       sync.Mutex
	accounts map[string]string // by access key
}

// listenRegistries serves the registry of the session, and two smaller ones.
func listenRegistries(ctx context.Context, own *localtest.Registry) (*registries, error) {
	r := &registries{own: own, accounts: map[string]string{}}
	for i, registry := range []*ecrtest.Registry{ecrtest.NewRegistry(localtest.Account, otherRegion), ecrtest.NewRegistry(memberAccount, localtest.Region)} {
		if err := registry.Generate(uint64(i+2), ecrtest.RealisticShape(5+i, 20+10*i, time.Now().Add(-time.Hour))); err != nil {
			return nil, fmt.Errorf("generate a registry: %w", err)
		}
		r.rest = append(r.rest, registry)
		r.others = append(r.others, ecrtest.New(registry))
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	r.url = "http://" + listener.Addr().String()
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go r.server.Serve(listener) //nolint:errcheck // the error is that it was closed
	return r, nil
}

// all are the registries of the organisation, that of the session first.
func (r *registries) all() []*ecrtest.Registry {
	return append([]*ecrtest.Registry{r.own.Registry}, r.rest...)
}

// ServeHTTP has the server of the request's account and Region handle it.
func (r *registries) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	_, credential, _ := strings.Cut(request.Header.Get("Authorization"), "Credential=")
	scope := strings.Split(credential, "/") // ACCESSKEY/DATE/REGION/…
	if len(scope) < 5 {
		http.Error(w, "not signed", http.StatusForbidden)
		return
	}
	account, err := r.accountOf(request.Context(), scope[0])
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	if account == r.own.ID() && scope[2] == r.own.Region() {
		r.own.Server.ServeHTTP(w, request)
		return
	}
	for i, registry := range r.rest {
		if registry.ID() == account && registry.Region() == scope[2] {
			r.others[i].ServeHTTP(w, request)
			return
		}
	}
	http.Error(w, "there is no registry of "+account+" in "+scope[2], http.StatusForbidden)
}

// accountOf asks STS whose an access key is.
func (r *registries) accountOf(ctx context.Context, key string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if account := r.accounts[key]; account != "" {
		return account, nil
	}
	got, err := r.ask.GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: &key})
	if err != nil {
		return "", fmt.Errorf("ask whose the key %s is: %w", key, err)
	}
	r.accounts[key] = aws.ToString(got.Account)
	return r.accounts[key], nil
}

func (r *registries) stop() error { return r.server.Close() }

// decodePolicy decodes a policy as IAM returns it.
func decodePolicy(text string) (map[string]any, error) {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return nil, err
	}
	var document map[string]any
	err = json.Unmarshal([]byte(plain), &document)
	return document, err
}

// organisation returns the ID of the organisation that the emulator makes of the account when
// it is asked first.
func (e *emulator) organisation(ctx context.Context) (string, error) {
	const emptyHash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of {}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader([]byte("{}")))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "AWSOrganizationsV20161128.DescribeOrganization")
	as, err := credentials.NewStaticCredentialsProvider(accessKey, secretKey, "").Retrieve(ctx)
	if err != nil {
		return "", err
	}
	if err := v4.NewSigner().SignHTTP(ctx, as, request, emptyHash, "organizations", localtest.Region, time.Now()); err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask for the organisation: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("ask for the organisation: %w", err)
	}
	var got struct{ Organization struct{ ID string } }
	if err := json.Unmarshal(text, &got); err != nil || got.Organization.ID == "" {
		return "", errors.Join(fmt.Errorf("ask for the organisation: %s: %.500s", response.Status, text), err)
	}
	return got.Organization.ID, nil
}
