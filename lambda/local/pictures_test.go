//go:build unix

package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// The end of a picture is a margin below the last line that has anything.
func TestCrop(t *testing.T) {
	t.Parallel()
	for at, want := range map[int]int{0: 13, 49: 62, 99: 100} {
		picture := image.NewGray(image.Rect(0, 0, 10, 100))
		picture.Set(5, at, color.White)
		var taken bytes.Buffer
		if err := png.Encode(&taken, picture); err != nil {
			t.Fatal(err)
		}
		cropped, err := crop(taken.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(bytes.NewReader(cropped))
		if err != nil {
			t.Fatal(err)
		}
		if got.Bounds() != image.Rect(0, 0, 10, want) {
			t.Errorf("a point at %d: %v, want a height of %d", at, got.Bounds(), want)
		}
		if c := color.GrayModel.Convert(got.At(5, at)); c != color.White && c != (color.Gray{Y: 255}) {
			t.Errorf("a point at %d is %v", at, c)
		}
	}
	if _, err := crop([]byte("GIF89a")); err == nil {
		t.Error("no picture: no error")
	}
}

// The pages are those of the store, with a style.
func TestServePages(t *testing.T) {
	t.Parallel()
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/vmui/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, "<html><head><title>UI</title></head><body></body></html>")
		default:
			io.WriteString(w, r.URL.RequestURI()+" </head>")
		}
	}))
	defer store.Close()
	s := &session{store: &localtest.Store{URL: store.URL}}
	pages, err := s.servePages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pages.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{
		"/vmui/":               "<html><head><title>UI</title>" + pictureStyle + "</head><body></body></html>",
		"/api/v1/query?query=": "/api/v1/query?query= </head>",
	} {
		response, err := client.Get("http://" + pages.Addr + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("%s: %v, %s, want %s", path, err, got, want)
		}
	}
}

func TestNoBrowser(t *testing.T) {
	t.Parallel()
	s := &session{options: options{chromium: "no-such-browser", pictures: t.TempDir()}}
	err := s.takePictures(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no-such-browser") || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("%v, want an error that names the browser and how to install one", err)
	}
}
