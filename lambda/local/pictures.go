//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// picturedPanels is the number of panels of a picture, in two columns.
	picturedPanels = 4
	// The page in pixels. It is longer than the panels; a picture ends where they do.
	pageWidth, pageHeight = 1280, 2600
	// drawTimeout is how long panels may take to be drawn.
	drawTimeout = 60 * time.Second
)

// takePictures takes a picture of each dashboard.
func (s *session) takePictures(ctx context.Context) error {
	browser, err := exec.LookPath(s.chromium)
	if err != nil {
		return fmt.Errorf("find the browser: %w; install Chromium (apt-get install -y --no-install-recommends chromium), or name another such browser: CHROMIUM=FILE", err)
	}
	if err := os.MkdirAll(s.pictures, 0o755); err != nil { //nolint:gosec // a folder of the source
		return fmt.Errorf("make the folder of the pictures: %w", err)
	}
	pages, err := s.servePages(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = pages.Close() }() // nobody reads it any more
	headline(s.stdout, "Pictures")
	for i := range s.boards {
		board := &s.boards[i]
		panels, err := s.show(ctx, board)
		if err != nil {
			return fmt.Errorf("show only the dashboard %s: %w", board.Title, err)
		}
		picture, err := s.takePicture(ctx, browser, pages.Addr, panels)
		if err != nil {
			return fmt.Errorf("take a picture of the dashboard %s: %w", board.Title, err)
		}
		name := filepath.Join(s.pictures, strings.ToLower(board.Title)+".png")
		if err := os.WriteFile(name, picture, 0o644); err != nil { //nolint:gosec // a file of the source
			return fmt.Errorf("write a picture: %w", err)
		}
		fmt.Fprintf(s.stdout, "%s%s, %s\n", indent, name, byteSize(float64(len(picture))))
	}
	return nil
}

// show makes the first panels of a dashboard with curves that change all that the UI shows,
// and returns how many they are. The UI opens the first dashboard, and the first row of it,
// which no address changes.
func (s *session) show(ctx context.Context, board *dashboard) (panels int, err error) {
	text, err := os.ReadFile(board.file)
	if err != nil {
		return 0, err
	}
	var shown struct {
		Title string `json:"title"`
		Rows  []struct {
			Title  string            `json:"title"`
			Panels []json.RawMessage `json:"panels"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(text, &shown); err != nil {
		return 0, err
	}
	if len(shown.Rows) == 0 {
		return 0, errors.New("it has no rows")
	}
	drawn, err := s.draw(ctx, board, time.Now())
	if err != nil {
		return 0, err
	}
	shown.Rows = shown.Rows[:1]
	row := &shown.Rows[0]
	all := row.Panels
	row.Panels = nil
	for i, text := range all {
		if drawn[i].changing > 0 && len(row.Panels) < picturedPanels {
			row.Panels = append(row.Panels, text)
		}
	}
	if text, err = json.Marshal(shown); err != nil {
		return 0, err
	}
	return len(row.Panels), os.WriteFile(filepath.Join(s.onlyBoard, "dashboard.json"), text, 0o600)
}

// pictureStyle leaves out of the UI what is of no use in a picture, the queries above the
// legends and the footer, and makes legends take less space.
const pictureStyle = `<style>
.vm-legend-group .vm-accordion-header, .vm-footer { display: none !important }
.vm-legend-group { margin: 0 !important }
.vm-legend-item-container { display: flex; flex-wrap: wrap }
</style>`

// servePages serves the UI of the store with the style of pictures.
func (s *session) servePages(ctx context.Context) (*http.Server, error) {
	store, err := url.Parse(s.store.URL)
	if err != nil {
		return nil, fmt.Errorf("read the address of VictoriaMetrics: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve the pages of pictures: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0), // a browser that ends leaves responses unread
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(store)
			r.Out.Header.Set("Accept-Encoding", "identity")
		},
		ModifyResponse: func(r *http.Response) error {
			if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
				return nil
			}
			page, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			page = bytes.Replace(page, []byte("</head>"), []byte(pictureStyle+"</head>"), 1)
			r.Body = io.NopCloser(bytes.NewReader(page))
			r.Header.Set("Content-Length", strconv.Itoa(len(page)))
			return r.Body.Close()
		},
	}
	server := &http.Server{Addr: listener.Addr().String(), Handler: proxy, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // until it is closed
	return server, nil
}

// takePicture opens the UI in the browser until the panels are drawn, each of which is a
// canvas then, and takes a picture.
func (s *session) takePicture(ctx context.Context, browser, address string, panels int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, drawTimeout)
	defer cancel()
	for {
		page, err := s.browse(ctx, browser, address, "--dump-dom")
		if err != nil {
			return nil, err
		}
		if canvases := bytes.Count(page, []byte("<canvas")); canvases == panels && !bytes.Contains(page, []byte("vm-spinner")) {
			break
		} else if ctx.Err() != nil {
			return nil, fmt.Errorf("%d of %d panels are drawn: %w", canvases, panels, ctx.Err())
		}
	}
	file := filepath.Join(s.onlyBoard, "picture.png")
	if _, err := s.browse(ctx, browser, address, "--screenshot="+file); err != nil {
		return nil, err
	}
	taken, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return crop(taken)
}

// browse runs the browser with the page of the dashboards, and returns what it writes. In
// its virtual time, waiting for responses takes none of the budget.
func (s *session) browse(ctx context.Context, browser, address, action string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, browser, "--headless", //nolint:gosec // the user's own
		"--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
		"--hide-scrollbars", "--lang=en-US", "--virtual-time-budget=10000", "--user-data-dir="+filepath.Join(s.onlyBoard, "browser"),
		"--window-size="+strconv.Itoa(pageWidth)+","+strconv.Itoa(pageHeight), action, dashboardURL("http://"+address)+"&legend_hide_stats=true")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w; it wrote:\n%.2000s", browser, err, &stderr)
	}
	return out, nil
}

// crop cuts off the empty part at the bottom of a picture.
func crop(taken []byte) ([]byte, error) {
	picture, err := png.Decode(bytes.NewReader(taken))
	if err != nil {
		return nil, fmt.Errorf("read the picture: %w", err)
	}
	const margin = 12
	area := picture.Bounds()
	last := area.Max.Y - 1
	for last > area.Min.Y && empty(picture, last) {
		last--
	}
	area.Max.Y = min(area.Max.Y, last+1+margin)
	cropped := image.NewRGBA(area)
	draw.Draw(cropped, area, picture, area.Min, draw.Src)
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, cropped); err != nil {
		return nil, fmt.Errorf("write the picture: %w", err)
	}
	return out.Bytes(), nil
}

// empty reports whether a line of a picture has one colour.
func empty(picture image.Image, y int) bool {
	at := func(x int) color.Color { return color.RGBAModel.Convert(picture.At(x, y)) }
	area := picture.Bounds()
	for x := area.Min.X; x < area.Max.X; x++ {
		if at(x) != at(area.Min.X) {
			return false
		}
	}
	return true
}
