//! Confusion matrices: truth down, prediction across, the darker the more.

use super::{escape, put};
use crate::train::metrics::Confusion;

pub(super) fn render(matrix: &Confusion, html: &mut String) {
    let classes = matrix.names().len();
    let scores = matrix.scores();
    put(
        html,
        format_args!(
            "<p class=\"note\">accuracy <strong>{:.4}</strong> on {} samples; rows are the truth, columns what was recognised</p>\n\
             <div class=\"scroll\"><table class=\"confusion\">\n<thead><tr><th></th>",
            matrix.accuracy(),
            matrix.total()
        ),
    );
    for name in matrix.names() {
        put(html, format_args!("<th>{}</th>", escape(name)));
    }
    html.push_str("<th class=\"score\">precision</th><th class=\"score\">recall</th></tr></thead>\n<tbody>\n");
    for (truth, score) in scores.iter().enumerate() {
        let support = score.support;
        put(html, format_args!("<tr><th>{}</th>", escape(&matrix.names()[truth])));
        for predicted in 0..classes {
            let count = matrix.count(truth, predicted);
            let kind = match (truth == predicted, count) {
                (_, 0) => "none",
                (true, _) => "right",
                (false, _) => "wrong",
            };
            // Errors are rare, so their shade rises faster.
            let share = count as f64 / support.max(1) as f64;
            let shade = if truth == predicted { share } else { share.sqrt() };
            let strong = if shade > 0.55 { " strong" } else { "" };
            put(
                html,
                format_args!(
                    "<td class=\"{kind}{strong}\" style=\"--shade:{:.0}%\" title=\"{count} of {support} {} taken for {}\">{count}</td>",
                    if count == 0 { 0.0 } else { 8.0 + 84.0 * shade },
                    escape(&matrix.names()[truth]),
                    escape(&matrix.names()[predicted])
                ),
            );
        }
        put(
            html,
            format_args!(
                "<td class=\"score\">{:.3}</td><td class=\"score\">{:.3}</td></tr>\n",
                score.precision, score.recall
            ),
        );
    }
    html.push_str("</tbody></table></div>\n");
}
