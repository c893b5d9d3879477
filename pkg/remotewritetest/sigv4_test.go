package remotewritetest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSigV4Published holds the verification against signatures that AWS
// published as a test suite for signers, so neither side of it is ours. Its
// clock stands at 2015-08-30T12:36:00Z.
func TestSigV4Published(t *testing.T) {
	t.Parallel()
	suite := SigV4{
		AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		Region: "us-east-1", Service: "service",
	}
	for _, tt := range []struct {
		name, method, target string
		signed, signature    string
		header               http.Header
	}{
		{"get-vanilla", "GET", "/", "host;x-amz-date",
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", nil},
		{"post-vanilla", "POST", "/", "host;x-amz-date",
			"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", nil},
		{"get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", "host;x-amz-date",
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				clock := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
				time.Sleep(time.Until(clock))
				request := func() *http.Request {
					req := httptest.NewRequest(tt.method, tt.target, nil)
					req.Host = "example.amazonaws.com"
					req.Header.Set("X-Amz-Date", "20150830T123600Z")
					for name, values := range tt.header {
						req.Header[name] = values
					}
					req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "+
						"SignedHeaders="+tt.signed+", Signature="+tt.signature)
					return req
				}
				if err := suite.Verify(request(), nil); err != nil {
					t.Error(err)
				}
				if err := suite.Verify(request(), []byte("x")); err == nil || !strings.Contains(err.Error(), "does not match") {
					t.Errorf("another body: %v", err)
				}
				other := suite
				other.SecretAccessKey += "x"
				if err := other.Verify(request(), nil); err == nil || !strings.Contains(err.Error(), "does not match") {
					t.Errorf("another secret: %v", err)
				}
			})
		})
	}
}

// TestSigV4Rules: each rule besides the signature itself, broken.
func TestSigV4Rules(t *testing.T) {
	t.Parallel()
	const (
		signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
		good      = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + signature
	)
	replace := func(old, with string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", strings.Replace(good, old, with, 1)) }
	}
	for _, tt := range []struct {
		name   string
		at     time.Duration // from the signature's date
		change func(*http.Request)
		want   string // "" is accepted
	}{
		{"good", 0, nil, ""},
		{"a little late", 5 * time.Minute, nil, ""},
		{"a little early", -5 * time.Minute, nil, ""},
		{"late", 5*time.Minute + time.Second, nil, "X-Amz-Date is 5m1s from now"},
		{"early", -5*time.Minute - time.Second, nil, "X-Amz-Date is 5m1s from now"},
		{"none", 0, func(r *http.Request) { r.Header.Del("Authorization") }, "0 Authorization headers"},
		{"two", 0, func(r *http.Request) { r.Header.Add("Authorization", good) }, "2 Authorization headers"},
		{"another scheme", 0, func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }, "does not start with AWS4-HMAC-SHA256"},
		{"no date", 0, func(r *http.Request) { r.Header.Del("X-Amz-Date") }, `X-Amz-Date is ""`},
		{"another date's scope", 0, replace("20150830", "20150829"), "credential is"},
		{"another region", 0, replace("us-east-1", "us-east-2"), "credential is"},
		{"another service", 0, replace("/service/", "/aps/"), "credential is"},
		{"another key", 0, replace("AKIDEXAMPLE", "AKIDOTHER"), "credential is"},
		{"no credential", 0, replace("Credential=", "Credentials="), "no Credential"},
		{"no signature", 0, replace("Signature="+signature, "Signature="), "no Signature"},
		{"a field twice", 0, replace(", Signature=", ", Signature=x, Signature="), "Signature twice"},
		{"a field too many", 0, replace(", Signature=", ", More=x, Signature="), "do not belong"},
		{"not sorted", 0, replace("host;x-amz-date", "x-amz-date;host"), "not sorted"},
		{"a name twice", 0, replace("host;", "host;host;"), "twice"},
		{"host not signed", 0, replace("host;", ""), "header host is not signed"},
		{"date not signed", 0, replace(";x-amz-date", ""), "header x-amz-date is not signed"},
		{"a header not signed", 0, func(r *http.Request) { r.Header.Set("X-More", "1") }, "header x-more is not signed"},
		{"a header signed that is not there", 0, replace("host;", "host;more;"), "header more is signed and was not sent"},
		{"may go unsigned", 0, func(r *http.Request) { r.Header.Set("User-Agent", "x/1"); r.Header.Set("X-Amzn-Trace-Id", "Root=1") }, ""},
		{"a token", 0, func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }, "X-Amz-Security-Token is not"},
		{"another signature", 0, replace("Signature=5", "Signature=6"), "does not match"},
		{"query that cannot be read", 0, func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, "query cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC).Add(tt.at)))
				req := httptest.NewRequest("GET", "/", nil)
				req.Host = "example.amazonaws.com"
				req.Header.Set("X-Amz-Date", "20150830T123600Z")
				req.Header.Set("Authorization", good)
				if tt.change != nil {
					tt.change(req)
				}
				s := SigV4{
					AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
					Region: "us-east-1", Service: "service",
				}
				err := s.Verify(req, nil)
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%v, want %q", err, tt.want)
				}
			})
		})
	}
}

// TestSigV4Token: the session's token must be there, and is not repeated in the
// answer.
func TestSigV4Token(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := SigV4{AccessKeyID: "AKID", SecretAccessKey: "planted-secret-key", SessionToken: "the-token", Region: "r", Service: "s"}
		req := httptest.NewRequest("POST", "/", nil)
		req.Header.Set("X-Amz-Date", "20000101T000000Z")
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20000101/r/s/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=0")
		if err := s.Verify(req, nil); err == nil || !strings.Contains(err.Error(), "X-Amz-Security-Token is not") {
			t.Errorf("no token: %v", err)
		}
		req.Header.Set("X-Amz-Security-Token", "the-token")
		err := s.Verify(req, nil)
		if err == nil || !strings.Contains(err.Error(), "does not match") || !strings.Contains(err.Error(), "x-amz-security-token:TOKEN") || strings.Contains(err.Error(), "the-token") {
			t.Errorf("wrong signature: %v", err)
		}
	})
}
