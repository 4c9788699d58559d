// Shows the token to the server once; the answer is a cookie that scripts cannot read.
const form = document.getElementById("form");
const fault = document.getElementById("fault");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fault.textContent = "";
  try {
    const answer = await fetch("/login", { method: "POST", body: JSON.stringify({ token: form.token.value }) });
    if (answer.ok) {
      location.replace("/");
      return;
    }
    const problem = await answer.json();
    fault.textContent = problem.detail;
  } catch {
    fault.textContent = "The server does not answer. Is the daemon running?";
  }
  form.token.select();
});
